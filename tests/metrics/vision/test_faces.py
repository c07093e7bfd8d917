"""Face detection once per image, with a second detector as the fallback."""

import numpy as np
import pytest
from helpers.photo import ASTRONAUT_FACE, astronaut, nobody, overlap, resized

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.judges.base import Answer, Judge, JudgeInfo
from evenhand.metrics.judges.on_faces import OnFaces
from evenhand.metrics.vision import faces as module
from evenhand.metrics.vision.faces import (
    CascadeDetector,
    DlibDetector,
    Face,
    FaceFinder,
    align,
    finder,
    image_status,
)


class Scripted:
    """A detector with fixed results that counts its calls."""

    name, version = "scripted", "1"

    def __init__(self, *boxes):
        self.boxes, self.asked = boxes, 0

    def find(self, image):
        self.asked += 1
        side = max(image.shape[:2])
        return [Face(tuple(edge * side for edge in box), 1.0, self.name) for box in self.boxes]


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


def blank(value=0, side=100):
    return np.full((side, side, 3), value, np.uint8)


@pytest.mark.parametrize("detector", [DlibDetector, CascadeDetector])
def test_both_detectors_find_the_face_of_a_photograph_and_none_in_a_cup(detector):
    alone = FaceFinder([detector()])
    (face,) = alone.look(astronaut()).faces
    assert overlap(face.box, ASTRONAUT_FACE) > 0.6
    assert [alone.look(image).status for image in nobody()] == ["no_face"] * 2


@pytest.mark.parametrize("side", [300, 1024])
def test_a_face_is_found_at_the_same_place_in_every_size(side):
    seen = finder().look(resized(astronaut(), side))
    assert seen.status == "ok"
    assert overlap(np.array(seen.faces[0].box) * 512 / side, ASTRONAUT_FACE) > 0.6


def test_two_people_side_by_side_are_multi_person():
    seen = finder().look(np.hstack([astronaut()] * 2))
    assert seen.status == "multi_person"
    assert len(seen.faces) == 2


def test_the_second_detector_runs_only_if_the_first_finds_no_face():
    first, second = Scripted((0.1, 0.1, 0.6, 0.6)), Scripted((0.2, 0.2, 0.9, 0.9))
    assert FaceFinder([first, second]).look(blank()).faces[0].box == pytest.approx((10, 10, 60, 60))
    assert (first.asked, second.asked) == (1, 0)
    assert FaceFinder([Scripted(), second]).look(blank()).faces[0].box == pytest.approx((20, 20, 90, 90))
    assert FaceFinder([Scripted(), Scripted()]).look(blank()).status == "no_face"


@pytest.mark.parametrize(
    ("sides", "status"),
    [
        ((), "no_face"),
        ((9.9,), "small_face"),
        ((10.1,), "ok"),
        ((9.9, 9.8), "small_face"),
        ((50, 35), "ok"),
        ((50, 36), "multi_person"),
        ((50, 50, 50), "multi_person"),
    ],
)
def test_status_follows_size_and_number_of_the_faces(sides, status):
    faces = [Face((0, 0, side, side), 1.0, "test") for side in sides]
    assert image_status(faces, side=100) == status


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


def test_the_status_of_the_judge_is_kept():
    shared = FaceFinder([Scripted((0.1, 0.1, 0.6, 0.6))])
    answer = OnFaces(Brightness("inconsistent"), finder=shared, cut="face").label(blank()[None])["light"]
    assert answer.status == ("inconsistent",)


def test_a_crop_beyond_the_edge_repeats_it_and_stays_centred():
    image = blank(100)
    image[:, :10] = 200
    face = Face((0, 20, 40, 60), 1.0, "test")
    crop = FaceFinder([]).cut(image, face, "face")
    assert crop.shape == (module.CROP_SIDE, module.CROP_SIDE, 3)
    # the crop spans columns -6 to 46 and column 10 is 16 of 52 in
    edge = np.flatnonzero(crop[100, :, 0] < 150)[0]
    assert edge / module.CROP_SIDE == pytest.approx(16 / 52, abs=0.02)


def test_aligned_faces_have_their_eyes_level_and_at_the_same_place():
    from PIL import Image

    eyes = []
    for angle in (0, 12):
        turned = np.asarray(
            Image.fromarray(astronaut()).rotate(angle, Image.Resampling.BICUBIC, center=(224, 130))
        )
        seen = finder().look(turned)
        chip = finder().cut(turned, seen.faces[0], "aligned")
        eyes.append(chip.astype(float))
    assert eyes[0].shape == (300, 300, 3)
    middle = [chip[60:200, 60:240] for chip in eyes]
    assert np.corrcoef(middle[0].ravel(), middle[1].ravel())[0, 1] > 0.97


def test_align_uses_the_whole_image_without_a_box():
    image = astronaut()
    left, top, right, bottom = ASTRONAUT_FACE
    crop = image[top:bottom, left:right]
    whole = align(crop, size=64, padding=0.2)
    np.testing.assert_array_equal(
        whole, align(crop, (0, 0, right - left, bottom - top), size=64, padding=0.2)
    )


def test_the_version_of_a_judge_changes_with_detectors_and_cut():
    judge = Brightness()
    made = [
        OnFaces(judge, finder=FaceFinder(detectors), cut=cut).info.version
        for detectors in ([Scripted()], [Scripted(), CascadeDetector()])
        for cut in ("face", "aligned")
    ]
    assert len(set(made)) == 4
    assert OnFaces(judge, finder=FaceFinder([Scripted()]), cut="face").info.version == made[0]


@pytest.mark.parametrize(("package", "make"), [("dlib", DlibDetector), ("skimage.data", CascadeDetector)])
def test_a_missing_package_is_an_error_that_names_the_extra(package, make, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(EvenhandError, match=r"needs the package .* run pip install 'evenhand\[faces\]'"):
        make()


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
