"""DeepFace in its worker process, on small networks in its file format."""

import sys

import numpy as np
import onnx
import pytest
from helpers.photo import astronaut, nobody
from onnx import TensorProto, helper, numpy_helper

from evenhand.bench.errors import EvenhandError
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.metrics.judges.deepface import WEIGHTS, DeepFaceJudge, _row
from evenhand.metrics.taxonomies import groups

RACES = ("asian", "indian", "black", "white", "middle eastern", "latino hispanic")
SHARES = {
    "gender_model_weights.onnx": (0.25, 0.75),  # Woman, Man
    "race_model_single_batch.onnx": (0.05, 0.1, 0.15, 0.2, 0.2, 0.3),
    "age_model_weights.onnx": tuple(float(year == 43) for year in range(101)),
}


def constant_network(path, shares):
    """A network that answers ``shares`` to every image, plus nothing times its first pixel."""
    values = numpy_helper.from_array(np.array([shares], np.float32), "shares")
    zero = numpy_helper.from_array(np.zeros((1, 1), np.float32), "zero")
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "one"], ["column"]),
        helper.make_node("Mul", ["column", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "shares"], ["output"]),
    ]
    one = numpy_helper.from_array(np.array([1], np.int64), "one")
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 224, 224, 3])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", len(shares)])],
        [values, zero, one],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    (folder / ".deepface" / "weights").mkdir(parents=True)
    for name, shares in SHARES.items():
        constant_network(folder / ".deepface" / "weights" / name, shares)
    return folder


def test_classes_are_matched_by_name_in_the_worker_process(home):
    judge = load_judge(f"deepface:home={home}")
    answer = judge.label(np.stack([astronaut(), *nobody()]))
    assert "deepface" not in sys.modules
    assert answer["gender"].status == ("ok", "no_face", "no_face")
    first = {
        name: dict(zip(groups(name), found.probabilities[0], strict=False)) for name, found in answer.items()
    }
    assert first["gender"] == pytest.approx({"woman": 0.25, "man": 0.75}, abs=1e-6)
    assert first["race4"] == pytest.approx(
        {"WMELH": 0.7, "Black": 0.15, "Indian": 0.1, "Asian": 0.05}, abs=1e-6
    )
    assert first["age5"] == dict.fromkeys(groups("age5"), 0) | {"middle-aged": 1}
    assert first["age2"] == {"young": 0, "old": 1}


def entry(confidence, box=(0, 0, 50, 50), woman="40.0"):
    shares = {"Woman": float(woman), "Man": 60.0}
    races = dict.fromkeys(RACES, 100 / 6)
    return {"gender": shares, "race": races, "age": 30.0, "confidence": confidence, "box": list(box)}


def test_with_its_own_detector_a_confidence_of_zero_means_no_face(home):
    judge = DeepFaceJudge(name="t", home=home, detector="retinaface")
    assert judge._seen([entry(0.0)]) == {}
    assert len(judge._seen([entry(0.9), entry(0.0)])) == 1
    assert _row("gender", None).tolist() == [0, 0, 1]


def test_with_its_own_detector_the_largest_face_comes_first(home):
    judge = DeepFaceJudge(name="t", home=home, detector="retinaface")
    seen = judge._seen([entry(0.9, (0, 0, 10, 10)), entry(0.8, (20, 20, 40, 40))])
    assert [face.side for face in seen] == [40, 10]


def test_percentages_become_probabilities_that_sum_to_one():
    assert _row("gender", entry(0.9)) == pytest.approx([0.4, 0.6, 0])
    assert _row("race4", entry(0.9)) == pytest.approx([0.5, 1 / 6, 1 / 6, 1 / 6, 0])


def test_missing_weights_are_all_named(tmp_path, home):
    (tmp_path / ".deepface" / "weights").mkdir(parents=True)
    source = home / ".deepface" / "weights" / WEIGHTS[0]
    (tmp_path / ".deepface" / "weights" / WEIGHTS[0]).write_bytes(source.read_bytes())
    with pytest.raises(
        EvenhandError, match=r"weights race_model_single_batch\.onnx, age_model_weights\.onnx are"
    ):
        load_judge(f"deepface:home={tmp_path}")


def test_the_version_depends_on_weights_and_detector(home, tmp_path):
    version = DeepFaceJudge(name="t", home=home).info.version
    assert DeepFaceJudge(name="t", home=home, detector="retinaface").info.version != version
    other = tmp_path / ".deepface" / "weights"
    other.mkdir(parents=True)
    for name in WEIGHTS:
        (other / name).write_bytes((home / ".deepface" / "weights" / name).read_bytes())
    assert DeepFaceJudge(name="t", home=tmp_path).info.version == version
    constant_network(other / WEIGHTS[0], (0.5, 0.5))
    assert DeepFaceJudge(name="t", home=tmp_path).info.version != version
