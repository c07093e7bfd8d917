"""The contract of a judge: images in, probabilities per attribute out.

A judge never sees the prompt or the method. It answers each attribute that it knows with a probability
vector over its own taxonomy plus a last column "cannot tell"; the table turns answers into labels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from evenhand.metrics.table import decide

Images = NDArray[np.uint8]
"""Images as ``(n, height, width, 3)`` sRGB bytes."""


class JudgeInfo(BaseModel):
    """The card of a judge."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    """Changes whenever weights, texts or preprocessing change: a hash of all three."""
    title: str
    summary: str
    family: str
    """Judges that share training data share a family; one family has one vote."""
    taxonomies: dict[str, tuple[str, ...]]
    """Attribute to the groups that this judge tells apart, in the order of its columns."""
    licence: str
    origin: str


@dataclass(frozen=True)
class Answer:
    """A judge's answer for one attribute.

    Attributes:
        probabilities: ``(n, K + 1)``, rows summing to one, the last column "cannot tell".
        status: ``n`` statuses of measurement.md 0.3; ``"ok"`` where the image can be judged at all.
    """

    probabilities: NDArray[np.float64]
    status: tuple[str, ...]

    @property
    def codes(self) -> NDArray[np.int64]:
        """``(n,)``: the group of each image from 0, ``K`` where there is no label."""
        usable = np.array([state == "ok" for state in self.status], bool)
        return np.where(usable, decide(self.probabilities), self.probabilities.shape[1] - 1)


Aspect = Literal["crop", "order", "text"]
"""A choice that should not matter: the cut of the image, the order of options, the wording of texts."""

Variants = dict[Aspect, tuple[dict[str, Answer], ...]]
"""Aspect to the answers (attribute to answer) under each choice; the first is the judge's usual one."""


class Judge(ABC):
    """One classifier of perceived attributes."""

    info: JudgeInfo

    @abstractmethod
    def label(self, images: Images) -> dict[str, Answer]:
        """Answers for every attribute of ``info.taxonomies``."""

    def variants(self, images: Images) -> Variants:
        """What the judge answers under other choices that should not matter, for its audit.

        An aspect in which the judge has no choice is not there.
        """
        return {}


class ZeroShotJudge(Judge):
    """A judge that can also choose between free texts, which a steering loop needs."""

    @abstractmethod
    def zero_shot(self, images: Images, texts: list[str]) -> NDArray[np.float64]:
        """Probabilities ``(n, len(texts))``, rows summing to one."""


class DifferentiableJudge(ZeroShotJudge):
    """A zero-shot judge through which a method can train the model that draws."""

    @abstractmethod
    def logits(self, pixels: Tensor, texts: list[str]) -> Tensor:
        """Logits ``(n, len(texts))`` of images ``(n, 3, height, width)`` in ``[-1, 1]``, with gradients."""
