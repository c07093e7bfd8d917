"""What a task provides besides the model: a steering judge, a CLIP, further networks, a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evenhand.bench.errors import EvenhandError

Images = NDArray[np.uint8]
"""Images as ``(n, height, width, 3)`` sRGB bytes."""


class SteeringJudge(Protocol):
    """The steering judge: a zero-shot classifier over given texts."""

    def __call__(self, images: Images, texts: Sequence[str]) -> NDArray[np.float64]:
        """Probabilities ``(n, len(texts))``, rows summing to one."""
        ...

    def logits(self, pixels: Tensor, texts: Sequence[str]) -> Tensor:
        """Logits ``(n, len(texts))`` of images ``(n, 3, height, width)`` in ``[-1, 1]``, with gradients.

        Raises:
            EvenhandError: The judge is not differentiable.
        """
        ...

    def group_logits(
        self, pixels: Tensor, groups: Mapping[str, Sequence[str]]
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """What the judge's own classifiers perceive, attribute by attribute, with gradients.

        Args:
            pixels: Images ``(n, 3, height, width)`` in ``[-1, 1]``.
            groups: Attribute to the ``K_a`` groups to choose from.

        Returns:
            Attribute to logits ``(n, K_a)``, and the box of the judged face of every image, ``(n, 4)`` as
            left, top, right, bottom in pixels, all zero without a face; ``None`` instead of the boxes if the
            judge sees whole images.

        Raises:
            EvenhandError: The judge is not differentiable, or does not know one of the groups.
        """
        ...


class Clip(Protocol):
    """The suite's CLIP as a network, for methods that train through it or compare texts with images."""

    def features(self, pixels: Tensor) -> Tensor:
        """Unit vectors ``(n, d)`` of images ``(n, 3, height, width)`` in ``[-1, 1]``, with gradients."""
        ...

    def text_projection(self, encoder: torch.nn.Module) -> Tensor | None:
        """The matrix ``(d, w)`` from the pooled text states of ``encoder`` to the image features' space.

        ``None`` if ``encoder`` is not the text encoder of this CLIP.
        """
        ...


class Checkpoint(Protocol):
    """Keeps the state of a training outside the method, so that an interrupted fit resumes."""

    def due(self) -> bool:
        """Whether enough time has passed to save again."""
        ...

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep a state, which replaces the one before: tensors and JSON values."""
        ...

    def load(self) -> Mapping[str, Any] | None:
        """The last state of the same fit; ``None`` if there is none."""
        ...


def not_available(name: str) -> Any:
    """The ``encoder`` and ``person_masks`` of a task without further networks.

    Raises:
        EvenhandError: Always.
    """
    raise EvenhandError(f"network {name!r} is not available in this task")
