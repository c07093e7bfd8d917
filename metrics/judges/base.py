"""The interface of a judge: images in, probabilities per attribute out.

A judge never sees the prompt or the method. For each attribute that it knows, it returns probabilities over
its own taxonomy plus a last column "cannot tell". The label table turns probabilities into labels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from evenhand.metrics.table import decide
from evenhand.metrics.vision.loaded_weights import forget_networks
from evenhand.metrics.vision.photographs import LIMIT, distance_from_photographs, reference_version

Images = NDArray[np.uint8]
"""Images as ``(n, height, width, 3)`` sRGB bytes."""


class JudgeInfo(BaseModel):
    """The card of a judge."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    """A hash that changes with weights, texts and preprocessing."""
    title: str
    summary: str
    family: str
    """Judges that share training data belong to one family; a family has one vote."""
    taxonomies: dict[str, tuple[str, ...]]
    """Attribute to the groups that this judge distinguishes, in the order of its columns."""
    licence: str
    origin: str


@dataclass(frozen=True)
class Reference:
    """A measure of how unlike an image is to those of a judge's domain.

    Attributes:
        version: A text that changes whenever distances may change.
        distance: The distance of each image of ``(n, H, W, 3)``, ``(n,)``; NaN if nothing can be compared.
        limit: An image with a larger distance is outside the domain.
    """

    version: str
    distance: Callable[[Images], NDArray[np.float64]]
    limit: float


@dataclass(frozen=True)
class Domain:
    """The images that a judge was trained for; an audit refuses others.

    Attributes:
        images: What they are, for messages; empty if the judge does not say.
        largest_side: Largest longer side of an image, in pixels; 0 for any.
        smallest_face: Smallest side of a face, in pixels of the image; 0 for any. An image whose largest face
            is smaller gets the status ``small_face``.
        reference: How unlike an image is to those of the domain; ``None`` if this cannot be measured.
    """

    images: str = ""
    largest_side: int = 0
    smallest_face: int = 0
    reference: Reference | None = None


ANY = Domain()
PHOTOGRAPHS = Domain(
    "photographs of faces",
    smallest_face=32,
    reference=Reference(
        version=f"photographs-{reference_version()}", distance=distance_from_photographs, limit=LIMIT
    ),
)
"""Networks on photographs. Below 32 pixels, a face is enlarged in every judge's input and shows little."""


@dataclass(frozen=True)
class Answer:
    """A judge's answer for one attribute.

    Attributes:
        probabilities: ``(n, K + 1)``, rows summing to 1, the last column "cannot tell".
        status: ``n`` values of :data:`evenhand.metrics.table.STATUSES`; ``"ok"`` if the image can be judged.
    """

    probabilities: NDArray[np.float64]
    status: tuple[str, ...]

    @property
    def codes(self) -> NDArray[np.int64]:
        """``(n,)``: the group index of each image, ``K`` where there is no label."""
        usable = np.array([state == "ok" for state in self.status], bool)
        return np.where(usable, decide(self.probabilities), self.probabilities.shape[1] - 1)


Aspect = Literal["crop", "order", "text"]
"""A choice that should not matter: the crop of the image, the order of options, the wording of texts."""

Variants = dict[Aspect, tuple[dict[str, Answer], ...]]
"""Aspect to the answers (attribute to answer) under each choice; the first choice is the judge's default."""


TRIAL_SIDE = 64
"""Side of the blank image on which judges are tried, in pixels."""


class Judge(ABC):
    """One classifier of perceived attributes."""

    info: JudgeInfo
    domain: Domain = ANY

    @property
    def input_side(self) -> int:
        """Side of the network's input in pixels, for which crops are large enough; 0 if any size will do."""
        return 0

    @abstractmethod
    def label(self, images: Images) -> dict[str, Answer]:
        """Answers for every attribute of ``info.taxonomies``."""

    def try_out(self) -> None:
        """Label a blank image, so that missing packages and damaged weights raise before any work.

        Raises:
            EvenhandError: The judge cannot label images.
        """
        self.label(np.zeros((1, TRIAL_SIDE, TRIAL_SIDE, 3), np.uint8))

    def release(self) -> None:
        """Free the memory of the device; the weights are loaded again when the judge next labels images."""
        forget_networks(self)

    def asked(self, attributes: Collection[str]) -> Judge:
        """The judge for a task that needs only ``attributes``; its answers for them are the same.

        Judges that do separate work for every attribute return one that leaves out the others.
        """
        return self

    def variants(self, images: Images) -> Variants:
        """The judge's answers under choices that should not matter, for its audit.

        Aspects in which the judge has no choice are missing.
        """
        return {}


class ZeroShotJudge(Judge):
    """A judge that can also choose between free texts, as the loop of a steering method needs."""

    @abstractmethod
    def zero_shot(self, images: Images, texts: list[str]) -> NDArray[np.float64]:
        """Probabilities ``(n, len(texts))``, rows summing to 1."""


class GradientJudge(Judge):
    """A judge whose own classifiers have gradients, so that a method can train an image generator with it."""

    @abstractmethod
    def group_logits(self, pixels: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        """The judge's answers with gradients, without "cannot tell".

        Args:
            pixels: Images ``(n, 3, height, width)`` in ``[-1, 1]``.

        Returns:
            Attribute to logits ``(n, K)`` over its taxonomy, and the box of the judged face of every image,
            ``(n, 4)`` as left, top, right, bottom in pixels, all zero without a face; ``None`` instead of the
            boxes if the judge sees whole images.
        """


class DifferentiableJudge(ZeroShotJudge):
    """A zero-shot judge with gradients, so that a method can train an image generator through it."""

    @abstractmethod
    def logits(self, pixels: Tensor, texts: list[str]) -> Tensor:
        """Logits ``(n, len(texts))`` of images ``(n, 3, height, width)`` in ``[-1, 1]``, with gradients."""
