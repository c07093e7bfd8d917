"""The supervised judge FairFace: one ResNet-34 that classifies race, gender and age of a face."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import resnet34

from evenhand.bench.errors import EvenhandError
from evenhand.metrics import taxonomies
from evenhand.metrics.judges.base import PHOTOGRAPHS, Answer, Images, Judge
from evenhand.metrics.judges.on_faces import OnFaces
from evenhand.metrics.judges.recipe import JudgeRecipe, RecipeCard
from evenhand.metrics.vision.device import best_device
from evenhand.metrics.vision.faces import finder
from evenhand.metrics.vision.pixels import IMAGENET_MEAN, IMAGENET_STD
from evenhand.metrics.vision.weight_folder import in_batches
from evenhand.metrics.vision.weight_source import WeightSource
from evenhand.metrics.vision.weights import tensors, weight_file

RELEASE = "https://drive.google.com/drive/folders/1B2gAnEpJ6oC9sMkcwS8v5Wk8PtHycHOV"
"""The folder of the released checkpoints, which the read-me of dchen236/FairFace links."""

SIZE = 224
OUTPUTS = 18

RACE7 = (
    "White",
    "Black",
    "Latino_Hispanic",
    "East Asian",
    "Southeast Asian",
    "Indian",
    "Middle Eastern",
)
RACE4 = ("White", "Black", "Asian", "Indian")
GENDER = ("Male", "Female")
AGE9 = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70+")
"""Order of the released networks' outputs (dchen236/FairFace, ``predict.py``).

The card of the released data set lists the races in another order.
"""


class FairFaceJudge(Judge):
    """The network of Karkkainen and Joo, "FairFace", arXiv 1908.04913, on aligned faces.

    The 18 outputs are race (0-6), gender (7-8) and age (9-17), with a softmax over each block. Weights with a
    four-class race head have the same layout and use the first four outputs. The network always decides:
    "cannot tell" has the probability 0. It is trained on photographs; measure its errors on generated images.

    Args:
        name: The judge's name.
        weights: The state dictionary, ``.safetensors`` or ``.pt``.
        race: Number of races of the weights, seven or four.
        device: Device of the network.

    Raises:
        EvenhandError: The file is missing, or contains more than tensors.
    """

    domain = replace(PHOTOGRAPHS, smallest_face=50)
    """The smallest faces of the data set have 50 pixels (section 3.2)."""

    def __init__(self, *, name: str, weights: Path, race: Literal[7, 4] = 7, device: str = "cpu") -> None:
        self._path = weight_file(weights)
        self._device = device
        self._blocks = {
            "race": (slice(0, race), RACE7 if race == 7 else RACE4),
            "gender": (slice(7, 9), GENDER),
            "age": (slice(9, 18), AGE9),
        }
        with self._path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:12]
        known = [
            attribute for _, labels in self._blocks.values() for attribute in taxonomies.readable(labels)
        ]
        self.info = FairFace.card.info(name=name, version=f"{digest}-{race}", attributes=known)

    def label(self, images: Images) -> dict[str, Answer]:
        """Answers for every attribute of ``info.taxonomies``; ``images`` are faces."""
        logits = self._logits(images)
        answers = {}
        for block, labels in self._blocks.values():
            shares = logits[:, block].softmax(dim=1).numpy()
            for attribute in taxonomies.readable(labels):
                groups = taxonomies.regroup(shares, labels, attribute)
                answers[attribute] = Answer(
                    np.column_stack([groups, np.zeros(len(images))]), ("ok",) * len(images)
                )
        return answers

    @cached_property
    def _network(self) -> nn.Module:
        network: nn.Module = resnet34(weights=None, num_classes=OUTPUTS)
        # Checkpoints saved from a wrapped network have the wrapper's prefix.
        found = {key.removeprefix("module."): value for key, value in tensors(self._path).items()}
        try:
            network.load_state_dict(found)
        except RuntimeError as fault:
            raise EvenhandError(
                f"weights file {str(self._path)!r} is not a ResNet-34 with {OUTPUTS} outputs; give the "
                "released FairFace checkpoint"
            ) from fault
        return network.float().eval().requires_grad_(False).to(self._device)

    @torch.inference_mode()
    def _logits(self, images: Images) -> Tensor:
        pixels = torch.from_numpy(np.asarray(images)).permute(0, 3, 1, 2).float() / 255
        if pixels.shape[2:] != (SIZE, SIZE):
            pixels = nn.functional.interpolate(
                pixels, size=(SIZE, SIZE), mode="bilinear", antialias=True, align_corners=False
            )
        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
        logits: Tensor = in_batches(self._network, ((pixels - mean) / std).to(self._device))
        return logits.double().cpu()


class FairFace(JudgeRecipe):
    """A FairFace ResNet-34 from a local weights file, on aligned face crops.

    Attributes:
        weights: Path of the released checkpoint: a state dictionary as ``.safetensors`` or ``.pt``; if empty,
            the file of the released name in the folder ``weights``.
        race: Number of races of the weights, seven or four.
    """

    card: ClassVar[RecipeCard] = RecipeCard(
        title="FairFace ResNet-34",
        summary="one supervised network for perceived race, gender and age of a face",
        family="supervised-face",
        attributes=("gender", "race7", "race4", "age9", "age5", "age2"),
        licence="CC BY 4.0",
        origin="Karkkainen and Joo 2021, FairFace; weights from the authors, given as a local file",
    )

    weights: str = ""
    race: Literal[7, 4] = 7

    @property
    def file(self) -> Path:
        """The weights."""
        return Path(self.weights or f"weights/res34_fair_align_multi_{self.race}_20190809.pt").expanduser()

    def sources(self) -> tuple[WeightSource, ...]:
        """The released checkpoint, which people download."""
        return (
            WeightSource(
                f"FairFace ResNet-34, {self.race} races",
                place=self.file,
                address=RELEASE,
                licence=self.card.licence,
            ),
        )

    def make(self, name: str) -> Judge:
        """The judge on aligned faces."""
        network = FairFaceJudge(name=name, weights=self.file, race=self.race, device=best_device())
        return OnFaces(network, finder=finder(), cut="aligned")
