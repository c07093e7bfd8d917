"""The FairFace judge: the released layout, local files, and refusal of files that could run code."""

import pickle

import numpy as np
import pytest
import torch
from helpers.fairface import fairface_network, fairface_weights
from helpers.photo import astronaut, nobody, resized
from safetensors.torch import save_file
from torchvision.transforms import v2

from evenhand.bench.errors import EvenhandError
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.metrics.judges.fairface import AGE9, GENDER, RACE4, RACE7, FairFaceJudge
from evenhand.metrics.taxonomies import groups

FACES = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)


class Code:
    """What a malicious pickle would hold."""

    def __reduce__(self):
        return (print, ("this must not run",))


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """A ResNet on a slow core: fill batches up to 4 rather than 32."""
    monkeypatch.setattr("evenhand.metrics.vision.weight_folder.BATCH", 4)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return fairface_weights(tmp_path_factory.mktemp("fairface") / "res34.safetensors")


@pytest.fixture(scope="module")
def reference():
    """Softmax of each block of the same network, pixels prepared by torchvision."""
    prepare = v2.Compose(
        [v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
    )
    with torch.no_grad():
        logits = fairface_network()(prepare(torch.from_numpy(FACES).permute(0, 3, 1, 2)))
    return {
        "race7": logits[:, :7].softmax(1).numpy(),
        "race4": logits[:, :4].softmax(1).numpy(),
        "gender": logits[:, 7:9].softmax(1).numpy(),
        "age9": logits[:, 9:18].softmax(1).numpy(),
    }


def column(answer, attribute, group):
    return answer[attribute].probabilities[:, groups(attribute).index(group)]


@pytest.mark.slow
def test_outputs_have_the_order_of_the_released_network(weights, reference):
    answer = FairFaceJudge(name="fairface", weights=weights).label(FACES)
    assert GENDER == ("Male", "Female")
    np.testing.assert_allclose(column(answer, "gender", "man"), reference["gender"][:, 0], atol=1e-5)
    np.testing.assert_allclose(column(answer, "gender", "woman"), reference["gender"][:, 1], atol=1e-5)
    for index, race in enumerate(RACE7):
        np.testing.assert_allclose(column(answer, "race7", race), reference["race7"][:, index], atol=1e-5)
    for index, age in enumerate(AGE9):
        np.testing.assert_allclose(column(answer, "age9", age), reference["age9"][:, index], atol=1e-5)
    merged = reference["race7"][:, [0, 2, 6]].sum(axis=1)
    np.testing.assert_allclose(column(answer, "race4", "WMELH"), merged, atol=1e-5)
    np.testing.assert_allclose(column(answer, "age2", "old"), reference["age9"][:, 5:].sum(axis=1), atol=1e-5)
    for attribute, found in answer.items():
        np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, err_msg=attribute)
        assert found.status == ("ok",) * 3


def test_the_four_class_head_uses_the_first_four_outputs(weights, reference):
    judge = FairFaceJudge(name="fairface", weights=weights, race=4)
    assert "race7" not in judge.info.taxonomies
    answer = judge.label(FACES)
    for label, group in (("White", "WMELH"), ("Black", "Black"), ("Asian", "Asian"), ("Indian", "Indian")):
        expected = reference["race4"][:, RACE4.index(label)]
        np.testing.assert_allclose(column(answer, "race4", group), expected, atol=1e-5)


@pytest.mark.slow
def test_torch_files_and_wrapped_checkpoints_give_the_same_answer(weights, tmp_path):
    first = FairFaceJudge(name="fairface", weights=weights).label(FACES)
    for path, prefix in ((tmp_path / "a.pt", ""), (tmp_path / "b.pt", "module.")):
        again = FairFaceJudge(name="fairface", weights=fairface_weights(path, prefix=prefix)).label(FACES)
        for attribute, answer in first.items():
            np.testing.assert_array_equal(again[attribute].probabilities, answer.probabilities)


def test_probabilities_do_not_depend_on_the_batch(weights):
    judge = FairFaceJudge(name="fairface", weights=weights)
    whole = judge.label(FACES)["race7"].probabilities
    np.testing.assert_array_equal(judge.label(FACES[1:2])["race7"].probabilities, whole[1:2])


@pytest.mark.slow
def test_the_registered_judge_uses_aligned_faces(weights):
    judge = load_judge(f"fairface:weights={weights}")
    images = np.stack([astronaut(), *nobody()])
    answer = judge.label(images)
    assert answer["gender"].status == ("ok", "no_face", "no_face")
    np.testing.assert_array_equal(answer["race7"].probabilities[1:], np.tile(np.eye(8)[-1], (2, 1)))
    assert judge.info.version == load_judge(f"fairface:weights={weights}").info.version
    assert judge.info.version != load_judge(f"fairface:weights={weights},race=4").info.version


def test_a_pickle_with_code_is_an_error_and_does_not_run(tmp_path, capsys):
    for name, content in (("a.pt", {"fc.weight": Code()}), ("b.pt", Code())):
        with (tmp_path / name).open("wb") as file:
            pickle.dump(content, file)
        with pytest.raises(EvenhandError, match=rf"{name}' contains more than tensors and could run code"):
            FairFaceJudge(name="fairface", weights=tmp_path / name).label(FACES[:1])
    torch.save({"fc.weight": Code()}, tmp_path / "c.pt")
    with pytest.raises(EvenhandError, match=r"c\.pt' contains more than tensors"):
        FairFaceJudge(name="fairface", weights=tmp_path / "c.pt").label(FACES[:1])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("torn.safetensors", b"\x10\x00", "cannot be read"),
        ("torn.pt", b"", "cannot be read"),
        ("text.pt", b"<html>not found</html>", "could run code|cannot be read"),
    ],
)
def test_a_corrupt_file_is_named_in_the_error(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EvenhandError, match=said) as fault:
        FairFaceJudge(name="fairface", weights=tmp_path / name).label(FACES[:1])
    assert "\n" not in str(fault.value)


def test_weights_of_another_network_are_an_error(tmp_path):
    save_file({"fc.weight": torch.zeros(1000, 512)}, tmp_path / "other.safetensors")
    with pytest.raises(EvenhandError, match="is not a ResNet-34 with 18 outputs"):
        FairFaceJudge(name="fairface", weights=tmp_path / "other.safetensors").label(FACES[:1])


def test_faces_are_resized_to_the_input_of_the_network(weights):
    judge = FairFaceJudge(name="fairface", weights=weights)
    large = np.stack([resized(astronaut(), 448)])
    small = np.stack([resized(resized(astronaut(), 448), 224)])
    np.testing.assert_allclose(
        judge.label(large)["gender"].probabilities, judge.label(small)["gender"].probabilities, atol=0.05
    )
