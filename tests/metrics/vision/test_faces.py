"""Face detection once per image, with a second detector as the fallback."""

import threading

import numpy as np
import pytest
import torch
from helpers.detectors import Scripted, blank
from helpers.photo import ASTRONAUT_FACE, astronaut, nobody, overlap, resized

from evenhand.bench.errors import EvenhandError
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


@pytest.mark.parametrize(("package", "make"), [("dlib", DlibDetector), ("skimage.data", CascadeDetector)])
def test_a_missing_package_is_an_error_that_names_the_extra(package, make, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(EvenhandError, match=r"needs the package .* run pip install 'evenhand\[faces\]'"):
        make()


def test_faces_are_looked_for_on_all_cores_and_equal_those_of_one(monkeypatch):
    images = [astronaut(), *nobody(), resized(astronaut(), 300), np.hstack([astronaut()] * 2)]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    alone = finder.__wrapped__().look_at_all(images)
    met, started = set(), threading.Barrier(3)

    class Together(FaceFinder):
        def _look(self, image):
            if len(met) < 3:
                met.add(threading.get_ident())
                started.wait(timeout=20)  # Until three threads look at the same time.
            return super()._look(image)

    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    together = Together([DlibDetector(), CascadeDetector()])
    assert together.look_at_all(images) == alone
    assert len(met) == 3
    assert [seen.status for seen in alone] == ["ok", "no_face", "no_face", "ok", "multi_person"]


def test_an_image_is_looked_at_once_however_often_it_is_asked_for():
    detector = Scripted((0.1, 0.1, 0.6, 0.6))
    found = FaceFinder([detector]).look_at_all([blank(), blank(1), blank(), blank(1)])
    assert detector.asked == 2 and found[0] == found[2]
