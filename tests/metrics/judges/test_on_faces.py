"""A judge that sees the largest face of each image only."""

import numpy as np
import pytest
from helpers.detectors import Scripted, blank

from evenhand.metrics.judges.base import Answer, Judge, JudgeInfo
from evenhand.metrics.judges.on_faces import OnFaces
from evenhand.metrics.vision.faces import (
    CascadeDetector,
    FaceFinder,
)


class Brightness(Judge):
    """Tells light from dark images, and counts those that it saw."""

    def __init__(self, status="ok"):
        self.seen, self.status = [], status
        self.info = JudgeInfo(
            name="brightness",
            version="1",
            title="Brightness",
            summary="mean",
            family="test",
            taxonomies={"light": ("bright", "dark")},
            licence="Apache-2.0",
            origin="test",
        )

    def label(self, images):
        self.seen.extend(images)
        bright = images.mean(axis=(1, 2, 3)) / 255
        shares = np.column_stack([bright, 1 - bright, np.zeros(len(images))])
        return {"light": Answer(shares, (self.status,) * len(images))}


def test_faces_are_detected_once_for_all_judges():
    detector = Scripted((0.1, 0.1, 0.6, 0.6))
    shared = FaceFinder([detector])
    images = np.stack([blank(200), blank(30)])
    for judge in (Brightness(), Brightness()):
        OnFaces(judge, finder=shared, cut="face").label(images)
    assert detector.asked == 2


def test_a_judge_sees_faces_only_and_answers_are_assigned_to_their_images():
    judge = Brightness()
    people = Scripted((0.25, 0.25, 0.75, 0.75))
    shared = FaceFinder([people])
    images = np.stack([blank(255), blank(0), blank(255)])
    shared.look(images[0])
    shared.look(images[1])
    people.boxes = ()
    empty = blank(7)
    answer = OnFaces(judge, finder=shared, cut="tight").label(np.stack([empty, *images[:2]]))["light"]
    assert answer.status == ("no_face", "ok", "ok")
    np.testing.assert_allclose(answer.probabilities, [[0, 0, 1], [1, 0, 0], [0, 1, 0]], atol=1e-9)
    assert len(judge.seen) == 2


def test_without_any_face_the_judge_is_not_called():
    judge = Brightness()
    answer = OnFaces(judge, finder=FaceFinder([Scripted()]), cut="face").label(np.stack([blank()] * 3))[
        "light"
    ]
    assert answer.status == ("no_face",) * 3
    assert answer.probabilities.tolist() == [[0, 0, 1]] * 3
    assert judge.seen == []


def test_with_several_people_the_largest_face_is_labelled_but_undetermined():
    image = blank(0)
    image[:, :50] = 255
    shared = FaceFinder([Scripted((0.05, 0.1, 0.4, 0.45), (0.52, 0.1, 0.95, 0.53))])
    answer = OnFaces(Brightness(), finder=shared, cut="tight").label(image[None])["light"]
    assert answer.status == ("multi_person",)
    assert answer.probabilities[0].argmax() == 1


def test_a_trial_reaches_the_judge_although_a_blank_image_has_no_face():
    judge = Brightness()
    OnFaces(judge, finder=FaceFinder([Scripted()]), cut="face").try_out()
    assert len(judge.seen) == 1


@pytest.mark.parametrize(("side", "shown"), [(0, 336), (224, 336), (384, 384)])
def test_crops_are_at_least_as_large_as_the_input_of_the_judge(monkeypatch, side, shown):
    monkeypatch.setattr(Brightness, "input_side", side)
    judge = Brightness()
    on_faces = OnFaces(judge, finder=FaceFinder([Scripted((0.1, 0.1, 0.6, 0.6))]), cut="face")
    on_faces.label(blank()[None])
    assert judge.seen[0].shape == (shown, shown, 3)
    assert on_faces.info.version.startswith("1/face@384:" if shown == 384 else "1/face:")


def test_the_status_of_the_judge_is_kept():
    shared = FaceFinder([Scripted((0.1, 0.1, 0.6, 0.6))])
    answer = OnFaces(Brightness("inconsistent"), finder=shared, cut="face").label(blank()[None])["light"]
    assert answer.status == ("inconsistent",)


def test_the_version_of_a_judge_changes_with_detectors_and_cut():
    judge = Brightness()
    made = [
        OnFaces(judge, finder=FaceFinder(detectors), cut=cut).info.version
        for detectors in ([Scripted()], [Scripted(), CascadeDetector()])
        for cut in ("face", "aligned")
    ]
    assert len(set(made)) == 4
    assert OnFaces(judge, finder=FaceFinder([Scripted()]), cut="face").info.version == made[0]


def test_variants_of_a_face_judge_include_the_whole_image():
    image = blank(0)
    image[30:70, 30:70] = 255
    shared = FaceFinder([Scripted((0.35, 0.35, 0.65, 0.65))])
    face, whole = OnFaces(Brightness(), finder=shared, cut="face").variants(image[None])["crop"]
    assert face["light"].probabilities[0].argmax() == 0 and whole["light"].probabilities[0].argmax() == 1
    assert OnFaces(Brightness(), finder=shared, cut="aligned").variants(image[None]) == {}
    nobody_there = OnFaces(Brightness(), finder=FaceFinder([Scripted()]), cut="face").variants(image[None])
    assert nobody_there["crop"][0]["light"].status == ("no_face",)
    assert nobody_there["crop"][1]["light"].status == ("ok",)


def test_a_label_that_differs_on_the_whole_image_is_inconsistent():
    light, dark, grey = blank(0), blank(0), blank(127)
    light[30:70, 30:70] = 255
    shared = FaceFinder([Scripted((0.35, 0.35, 0.65, 0.65))])
    both = OnFaces(Brightness(), finder=shared, cut="face", agreeing=True)
    face = OnFaces(Brightness(), finder=shared, cut="face")
    images = np.stack([light, dark, grey])
    found, usual = both.label(images)["light"], face.label(images)["light"]
    assert found.status == ("inconsistent", "ok", "ok") and usual.status == ("ok", "ok", "ok")
    np.testing.assert_array_equal(found.probabilities, usual.probabilities)
    assert both.info.version != face.info.version
    nobody_there = OnFaces(Brightness(), finder=FaceFinder([Scripted()]), cut="face", agreeing=True)
    assert nobody_there.label(images)["light"].status == ("no_face",) * 3


def test_an_undetermined_whole_image_does_not_contradict_the_face():
    image = blank(0)
    image[:, :50] = 255
    shared = FaceFinder([Scripted((0.1, 0.1, 0.4, 0.4))])
    assert Brightness().label(image[None])["light"].codes == [2], "half bright, half dark: a tie"
    answer = OnFaces(Brightness(), finder=shared, cut="tight", agreeing=True).label(image[None])["light"]
    assert (answer.status, answer.codes.tolist()) == (("ok",), [0])
