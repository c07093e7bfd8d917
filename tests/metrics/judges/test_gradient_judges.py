"""The gradients of judges: the same answers as their labels, and gradients that reach the judged pixels."""

import numpy as np
import pytest
import torch
from helpers.mini import labelled_people

from evenhand.bench.errors import EvenhandError
from evenhand.bench.mini import ROOT
from evenhand.bench.mini.judges import clip_xs, vit
from evenhand.metrics import taxonomies
from evenhand.metrics.judges.base import Judge
from evenhand.metrics.judges.on_faces import OnFaces
from evenhand.metrics.judges.open_clip import OpenClipJudge
from evenhand.metrics.vision.faces import Face, FaceFinder


def people(count):
    images = labelled_people()[0][:count]
    return images, torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


@pytest.mark.parametrize("make_judge", [clip_xs, vit])
def test_the_softmax_of_the_logits_is_the_answer(make_judge):
    images, pixels = people(8)
    pixels.requires_grad_()
    judge = make_judge()
    logits, faces = judge.group_logits(pixels)
    assert faces is None and set(logits) == set(judge.info.taxonomies)
    for name, answer in judge.label(images).items():
        np.testing.assert_allclose(
            logits[name].softmax(dim=1).detach(), answer.probabilities[:, :-1], atol=1e-4
        )
    sum(found[:, 0].sum() for found in logits.values()).backward()
    assert pixels.grad.abs().amax(dim=(1, 2, 3)).min() > 0


def test_a_coarser_attribute_sums_the_groups_of_the_finer_one():
    words = {"race7": {group: (f"a {group} person",) for group in taxonomies.groups("race7")}}
    judge = OpenClipJudge(
        name="test",
        folder=ROOT / "weights" / "clip-xs",
        title="Test",
        words=words,
        templates=("{}",),
        licence="",
        origin="",
        coarser={"race4": "race7"},
    )
    images, pixels = people(4)
    logits, _ = judge.group_logits(pixels)
    wanted = judge.label(images)["race4"].probabilities[:, :-1]
    np.testing.assert_allclose(logits["race4"].softmax(dim=1), wanted, atol=1e-4)


class Scripted:
    """Detects the same face in every image that is not black."""

    name, version = "scripted", "1"
    box = (0.25, 0.125, 0.75, 0.625)

    def find(self, image):
        side = image.shape[0]
        return [Face(tuple(edge * side for edge in self.box), 1.0, self.name)] if image.any() else []


@pytest.mark.parametrize("cut", ["face", "tight"])
def test_on_faces_the_logits_are_those_of_the_largest_face(cut):
    images, pixels = people(3)
    images, pixels = images.copy(), pixels.clone()
    images[1], pixels[1] = 0, -1
    pixels.requires_grad_()
    judge = OnFaces(clip_xs(), finder=FaceFinder([Scripted()]), cut=cut)
    logits, faces = judge.group_logits(pixels)
    side = images.shape[1]
    box = [edge * side for edge in Scripted.box]
    np.testing.assert_allclose(faces, [box, [0] * 4, box], atol=1e-4)
    for name, answer in judge.label(images).items():
        got = logits[name].softmax(dim=1).detach().numpy()
        # Crops of bytes are rounded, crops of gradients are not.
        np.testing.assert_allclose(got[[0, 2]], answer.probabilities[[0, 2], :-1], atol=0.03)
        assert not logits[name][1].any()
    logits["gender"][:, 0].sum().backward()
    reached = pixels.grad.abs().amax(dim=1) > 0
    assert not reached[1].any() and reached[0, side // 3, side // 2]
    margin = 0.15 * (box[2] - box[0]) + 1 if cut == "face" else 0
    assert not reached[0, int(box[3] + margin) + 1 :].any()


def test_without_any_face_all_logits_are_zero():
    judge = OnFaces(clip_xs(), finder=FaceFinder([Scripted()]), cut="face")
    logits, faces = judge.group_logits(torch.full((2, 3, 64, 64), -1.0))
    assert not faces.any() and all(not found.any() for found in logits.values())


def test_a_judge_without_gradients_on_faces_raises_an_error():
    class Plain(Judge):
        info = clip_xs().info

        def label(self, images):
            return {}

    judge = OnFaces(Plain(), finder=FaceFinder([Scripted()]), cut="face")
    with pytest.raises(EvenhandError, match="'clip-xs' provides no gradients"):
        judge.group_logits(torch.zeros(1, 3, 64, 64))
