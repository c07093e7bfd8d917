"""The worker of DeepFace: what it passes to the library, and plain numbers back."""

import os
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from evenhand.metrics.judges._deepface_worker import analyze

FACE = {
    "gender": {"Woman": "12.5", "Man": np.float32(87.5)},
    "race": {"asian": np.float64(100)},
    "age": np.int64(31),
    "face_confidence": "0.75",
    "region": {"x": 1, "y": 2, "w": 3, "h": np.int32(4), "left_eye": (1, 1)},
}


@pytest.fixture
def calls(monkeypatch):
    """The calls of a library that sees one face in every image."""
    made = []
    library = ModuleType("deepface")
    library.DeepFace = SimpleNamespace(
        analyze=lambda image, **options: made.append((image, options)) or [FACE]
    )
    monkeypatch.setitem(sys.modules, "deepface", library)
    for name in ("DEEPFACE_HOME", "DEEPFACE_BACKEND_ENGINE", "DEEPFACE_LOG_LEVEL"):
        monkeypatch.setenv(name, "")
    return made


def test_numbers_of_any_type_become_floats(calls):
    ((face,),) = analyze(np.zeros((1, 4, 4, 3), np.uint8), home="there", detector="skip")
    assert face == {
        "gender": {"Woman": 12.5, "Man": 87.5},
        "race": {"asian": 100.0},
        "age": 31.0,
        "confidence": 0.75,
        "box": [1.0, 2.0, 3.0, 4.0],
    }
    assert {type(number) for number in (face["age"], face["confidence"], *face["box"])} == {float}


def test_every_image_is_passed_in_the_librarys_channel_order(calls):
    images = np.arange(2 * 2 * 2 * 3, dtype=np.uint8).reshape(2, 2, 2, 3)
    assert len(analyze(images, home="there", detector="skip")) == 2
    for (seen, _), image in zip(calls, images, strict=True):
        assert (seen == image[:, :, [2, 1, 0]]).all() and seen.flags["C_CONTIGUOUS"]


@pytest.mark.parametrize(("detector", "align"), [("skip", False), ("retinaface", True)])
def test_crops_are_not_aligned_and_images_without_a_face_are_no_error(calls, detector, align):
    analyze(np.zeros((1, 4, 4, 3), np.uint8), home="there", detector=detector)
    ((_, options),) = calls
    assert (options["detector_backend"], options["align"]) == (detector, align)
    assert options["enforce_detection"] is False
    assert (os.environ["DEEPFACE_HOME"], os.environ["DEEPFACE_BACKEND_ENGINE"]) == ("there", "onnx")
