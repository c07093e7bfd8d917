"""The terms that keep images and faces, against naive sums."""

import dataclasses

import numpy as np
import pytest
import torch
from helpers.finetuning import aligned, certain, shown, task_on
from helpers.methods import JOINT
from helpers.mini import labelled_people

from evenhand.bench.models.loading import load_model
from evenhand.bench.stages.resources import load_scorer
from evenhand.methods.finetuning._preservation import Perceived, relaxed_in_faces


@pytest.fixture(scope="module")
def model():
    return load_model("mini")


@pytest.fixture(scope="module")
def pictures():
    images = labelled_people()[0][:4]
    return images, torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


@pytest.mark.parametrize("uncertain", [False, True])
def test_images_that_must_change_or_have_no_target_are_preserved_less(model, pictures, uncertain):
    pixels = pictures[1]
    before = pixels.flip(0)
    alignment = aligned(model, relax={"gender": 0.25})
    away = 1 - (load_scorer("mini").features(pixels) * load_scorer("mini").features(before)).sum(1).numpy()
    targets = certain(gender=[0, 1, 0, 1], age=[0, 0, 1, 1])
    targets["age"][1][3] = not uncertain
    original = shown({"gender": [0, 0, 0, 1], "age": [0, 0, 0, 1]})
    images, faces = alignment.preservation(pixels, original, before, original, targets)
    k = np.array([1.0, 0.25, 0.6, 0.6 if uncertain else 1.0])
    assert float(images) == pytest.approx(float((k * away).sum()), rel=1e-4)
    assert float(faces) == 0


def test_every_encoder_adds_its_distance(model, pictures):
    pixels = pictures[1]

    def brightness(images):
        return torch.nn.functional.normalize(images.mean(dim=(2, 3)) + 2, dim=1)

    task = dataclasses.replace(task_on(model, cells=JOINT), encoder={"some/encoder": brightness}.__getitem__)
    targets, original = (
        certain(gender=[0] * 4, age=[0] * 4),
        shown({"gender": [0] * 4 + [1], "age": [0] * 4 + [1]}),
    )
    original = Perceived({name: logs[:4] for name, logs in original.logs.items()})
    terms = {
        names: float(
            aligned(model, task=task, encoders=names).preservation(
                pixels, original, pixels.flip(0), original, targets
            )[0]
        )
        for names in [("clip",), ("some/encoder",), ("clip", "some/encoder")]
    }
    wanted = (1 - (brightness(pixels) * brightness(pixels.flip(0))).sum(1)).sum()
    assert terms["some/encoder",] == pytest.approx(float(wanted), rel=1e-5)
    assert terms["clip", "some/encoder"] == pytest.approx(terms["clip",] + terms["some/encoder",], rel=1e-5)


def test_inside_a_face_that_must_change_the_gradient_is_smaller():
    images = torch.zeros(3, 3, 6, 6, requires_grad=True)
    faces = torch.tensor([[1.0, 2, 5, 6], [0, 0, 0, 0], [0, 0, 3, 3]])
    before = torch.tensor([[0.0, 0, 4, 4], [0, 0, 6, 6], [0, 0, 3, 3]])
    relaxed = relaxed_in_faces(images, faces, before, torch.tensor([0.2, 0.2, 1.0]))
    assert torch.equal(relaxed, images)
    relaxed.sum().backward()
    wanted = torch.ones(3, 3, 6, 6)
    wanted[0, :, 2:4, 1:4] = 0.2
    torch.testing.assert_close(images.grad, wanted)


def test_faces_are_compared_only_where_the_face_keeps_its_groups(model, pictures):
    pixels = pictures[1]
    boxes = torch.tensor([[8.0, 8, 40, 40]] * 3 + [[0.0] * 4])

    def level(images):
        assert images.shape[1:] == (3, 224, 224)
        return torch.nn.functional.normalize(images.mean(dim=(2, 3)) + 2, dim=1)

    task = dataclasses.replace(task_on(model, cells=JOINT), encoder=lambda name: level)
    alignment = aligned(model, task=task, face_encoder="faces")
    perceived = shown({"gender": [0, 0, 0, 1], "age": [0, 0, 1, 0]}, faces=boxes)
    unsure = perceived.logs["age"].clone()
    unsure[2] = torch.tensor([0.4, 0.6]).log()
    original = Perceived(dict(perceived.logs) | {"age": unsure}, boxes)
    # The first keeps its face, the second changes, the third is not sure enough, the fourth has no face.
    targets = certain(gender=[0, 1, 0, 1], age=[0, 0, 1, 0])
    _, faces = alignment.preservation(pixels, perceived, pixels.flip(0), original, targets)
    cut = [torch.nn.functional.interpolate(p[None, :, 8:40, 8:40], size=(224, 224), mode="bilinear",
                                           antialias=True) for p in (pixels[0], pixels[3])]  # fmt: skip
    assert float(faces) == pytest.approx(float(1 - (level(cut[0]) * level(cut[1])).sum()), abs=1e-6)
