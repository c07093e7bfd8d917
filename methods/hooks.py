"""What an intervention may do while a batch of images is denoised.

The sampler creates one :class:`Steering` per batch and calls it at every step, in this order: for the
conditional text states, for the outputs of the U-Net modules that the intervention named, and for the guided
noise prediction. The base class returns its input, which is classifier-free guidance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from evenhand.methods.model import TextStates

RowChange = Callable[[Tensor, Tensor], Tensor]
"""Maps input rows ``(n, length, d)`` and first end-of-text positions ``(n,)`` to changed rows."""


class Encode(Protocol):
    """Encodes prompts, optionally with changed input rows of the text encoder."""

    def __call__(self, texts: Sequence[str], change: RowChange | None = None) -> TextStates:
        """Text states of the prompts."""
        ...


def no_encoder(texts: Sequence[str], change: RowChange | None = None) -> TextStates:
    """The ``encode`` of a batch that was created without a model.

    Raises:
        ValueError: Always.
    """
    raise ValueError("this batch was created without a text encoder; pass one as `encode`")


@dataclass(frozen=True)
class Batch:
    """``n`` images that are denoised together.

    Attributes:
        texts: Their prompts, after the intervention's :meth:`~evenhand.methods.base.Intervention.prompt`.
        seeds: Seeds of their initial noise.
        draws: Their random streams.
        encode: The model's :meth:`~evenhand.methods.base.EditableModel.encode_uncached`.
    """

    texts: tuple[str, ...]
    seeds: tuple[int, ...]
    draws: tuple[np.random.Generator, ...]
    encode: Encode = field(default=no_encoder, repr=False)

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Step:
    """One denoising step.

    Attributes:
        index: Number of the step, from 0.
        count: Total number of steps.
        timestep: The solver's timestep, a scalar tensor on the CPU; decreases over the steps.
        scale: Guidance scale of the protocol.
    """

    index: int
    count: int
    timestep: Tensor
    scale: float


@dataclass(frozen=True)
class Site:
    """A U-Net module whose output an intervention reads and may replace.

    Attributes:
        name: Its name in the U-Net, for example ``"mid_block"``.
        module: The module.
        inputs: Positional arguments of the call.
        keywords: Keyword arguments of the call.
    """

    name: str
    module: torch.nn.Module
    inputs: tuple[Any, ...]
    keywords: Mapping[str, Any]


class Steering:
    """Steering of one batch; the base class changes nothing.

    An instance serves one batch only, so a subclass may keep state between steps. Every decision must be made
    image by image (norms, quantiles and draws of a single image), so that an image does not depend on its
    batch.

    Attributes:
        branches: ``b`` further prompts per image, ``n`` tuples of equal length. Their noise is predicted at
            every step on the same latents; each costs one more pass of the U-Net.
    """

    branches: Sequence[Sequence[str]] = ()

    def text(self, step: Step, states: Tensor, latents: Tensor) -> Tensor:
        """Conditional text states ``(n, length, d)`` for this step; ``latents`` are the current latents."""
        return states

    def feature(self, step: Step, site: Site, output: Tensor) -> Tensor:
        """The module output that the U-Net continues with.

        Rows ``0 .. n-1`` are unconditional, ``n .. 2n-1`` conditional, followed by ``n`` rows per branch.
        """
        return output

    def noise(self, step: Step, uncond: Tensor, text: Tensor, branches: Sequence[Tensor]) -> Tensor:
        """The guided prediction ``(n, c, h, w)``; by default ``uncond + s (text - uncond)``."""
        return uncond + step.scale * (text - uncond)
