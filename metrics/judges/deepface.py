"""DeepFace as a non-voting judge, run in a separate process; images without a face are undetermined."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError, NotInstalledError
from evenhand.metrics import taxonomies
from evenhand.metrics.judges._deepface_worker import analyze
from evenhand.metrics.judges.base import PHOTOGRAPHS, Answer, Images, Judge
from evenhand.metrics.judges.on_faces import OnFaces
from evenhand.metrics.judges.recipe import JudgeRecipe, RecipeCard
from evenhand.metrics.vision.faces import Face, finder, image_status
from evenhand.metrics.vision.weight_source import WeightSource, downloads_asked_for, place_from_hub
from evenhand.metrics.vision.weights import first_line

SHARED = "skip"
"""DeepFace's name for no detection: it receives the face crops that all judges receive."""

WEIGHTS = ("gender_model_weights.onnx", "race_model_single_batch.onnx", "age_model_weights.onnx")

RELEASE = "https://github.com/serengil/deepface_models/releases/download/v1.0"
REPOSITORY = "serengil/deepface"
"""Where the package downloads its weights from: a release, and a copy of it on the hub."""


class DeepFaceJudge(Judge):
    """DeepFace (Serengil and Ozpinar 2021): gender, six races and an age in years.

    With its own detector, DeepFace labels the whole image if it finds no face and sets ``face_confidence`` to
    0; such images have the status ``no_face``. The age is a single number, so its group has the probability
    1. DeepFace labels many women as men (recall of women 0.38 on 2,998 FairFace images), so use it as a
    non-voting judge.

    Args:
        name: The judge's name.
        home: Folder that contains ``.deepface/weights``.
        detector: A detector of DeepFace; ``SHARED`` if the images are face crops.

    Raises:
        EvenhandError: The package or a weights file is missing.
    """

    domain = PHOTOGRAPHS

    def __init__(self, *, name: str, home: Path, detector: str = SHARED) -> None:
        try:
            release = version("deepface")
        except PackageNotFoundError as fault:
            raise NotInstalledError(
                f"judge {name!r} needs the package 'deepface'; run pip install 'evenhand[faces]'"
            ) from fault
        folder = home / ".deepface" / "weights"
        missing = [file for file in WEIGHTS if not (folder / file).is_file()]
        if missing:
            raise NotInstalledError(
                f"weights {', '.join(missing)} are not in {str(folder)!r}; run evenhand fetch deepface, or "
                f"download them from {RELEASE} and run evenhand fetch deepface --weights FOLDER"
            )
        self._home, self._detector = home, detector
        sha = hashlib.sha256(f"{release}/{detector}".encode())
        for file in WEIGHTS:
            with (folder / file).open("rb") as stream:
                sha.update(hashlib.file_digest(stream, "sha256").digest())
        self.info = DeepFace.card.info(name=name, version=sha.hexdigest()[:12])

    def label(self, images: Images) -> dict[str, Answer]:
        """Answers for every attribute of ``info.taxonomies``."""
        work = self._process.submit(analyze, images, home=str(self._home), detector=self._detector)
        try:
            found = [self._seen(entries) for entries in work.result()]
        except (ImportError, ValueError, BrokenProcessPool) as fault:
            raise EvenhandError(
                f"judge {self.info.name!r}: DeepFace failed ({first_line(fault)}); check weights and packages"
            ) from fault
        side = min(images.shape[1:3])
        shared = self._detector == SHARED
        status = tuple("ok" if shared else image_status(list(faces), side) for faces in found)
        largest = [next(iter(faces.values()), None) for faces in found]
        return {
            attribute: Answer(np.stack([_row(attribute, entry) for entry in largest]), status)
            for attribute in self.info.taxonomies
        }

    @cached_property
    def _process(self) -> ProcessPoolExecutor:
        # A new interpreter, because a forked one would copy networks and threads of this process.
        return ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn"))

    def _seen(self, entries: Sequence[dict[str, Any]]) -> dict[Face, dict[str, Any]]:
        """The entries of detected faces, largest first."""
        found = {}
        for entry in entries:
            if self._detector == SHARED or entry["confidence"] > 0:
                left, top, width, height = entry["box"]
                box = (left, top, left + width, top + height)
                found[Face(box, entry["confidence"], self._detector)] = entry
        return dict(sorted(found.items(), key=lambda pair: -pair[0].area))


def _row(attribute: str, face: dict[str, Any] | None) -> NDArray[np.float64]:
    """The probabilities of one image, ``(K + 1,)``."""
    groups = taxonomies.groups(attribute)
    if face is None:
        return np.append(np.zeros(len(groups)), 1.0)
    if attribute.startswith("age"):
        bins = taxonomies.groups("age9")
        shares = np.eye(len(bins))[taxonomies.age_bin(np.array([face["age"]]))]
        found = taxonomies.regroup(shares, bins, attribute)[0]
    else:
        named = face["gender" if attribute == "gender" else "race"]
        found = taxonomies.regroup(np.array([list(named.values())]), list(named), attribute)[0]
    return np.append(found / found.sum(), 0.0)


class DeepFace(JudgeRecipe):
    """DeepFace on the face crops that all judges receive, or with its own detector.

    Attributes:
        home: Folder that contains ``.deepface/weights``; if empty the user's home folder, DeepFace's default.
        detector: ``shared`` for the shared crops, else a detector of DeepFace such as ``retinaface``.
    """

    card: ClassVar[RecipeCard] = RecipeCard(
        title="DeepFace",
        summary="DeepFace's gender, race and age networks, a non-voting judge of known bias against women",
        family="deepface",
        attributes=("gender", "race4", "age9", "age5", "age2"),
        licence="MIT (code); that of the weights",
        origin="package deepface; Serengil and Ozpinar 2021",
    )

    home: str = ""
    detector: str = "shared"

    @property
    def folder(self) -> Path:
        """The folder that contains ``.deepface``."""
        return Path(self.home).expanduser() if self.home else Path.home()

    def sources(self) -> tuple[WeightSource, ...]:
        """The three files of the package's networks."""
        return tuple(
            WeightSource(
                f"DeepFace, {file.partition('_')[0]}",
                repository=REPOSITORY,
                files=(file,),
                place=self.folder / ".deepface" / "weights" / file,
                address=f"{RELEASE}/{file}",
                licence="not recorded",
            )
            for file in WEIGHTS
        )

    def make(self, name: str) -> Judge:
        """The judge, on the shared crops unless ``detector`` names another detector."""
        home = self.folder
        if downloads_asked_for():
            place_from_hub(self.sources())
        if self.detector != "shared":
            return DeepFaceJudge(name=name, home=home, detector=self.detector)
        return OnFaces(DeepFaceJudge(name=name, home=home), finder=finder(), cut="face")
