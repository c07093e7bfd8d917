"""What an intervention may do while a batch of images is denoised.

The sampler makes one :class:`Steering` for every batch and asks it at every step, in this order: for the
conditional text states, for the outputs of the U-Net modules it named, and for the guided noise prediction.
The base class answers with what it is given, which is plain classifier-free guidance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from evenhand.methods.base import TextStates

RowChange = Callable[[Tensor, Tensor], Tensor]
"""From input rows ``(n, length, d)`` and places ``(n,)`` of the first end-of-text tokens to changed rows."""


class Encode(Protocol):
    """Encodes prompts with changed input rows of the text encoder."""

    def __call__(self, texts: Sequence[str], change: RowChange | None = None) -> TextStates:
        """Text states of the prompts."""
        ...


def no_encoder(texts: Sequence[str], change: RowChange | None = None) -> TextStates:
    """What a batch without a model answers.

    Raises:
        ValueError: Always.
    """
    raise ValueError("this batch was made without a text encoder; give it one as `encode`")


@dataclass(frozen=True)
class Batch:
    """The ``n`` images that are denoised together.

    Attributes:
        texts: Their prompts, after the intervention's own ``prompt``.
        seeds: Seeds of their noise.
        draws: Their own random streams.
        encode: The model's :meth:`~evenhand.methods.base.EditableModel.encode_anew`.
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
        index: From 0.
        count: Steps in all.
        timestep: The solver's timestep, a scalar tensor; large at first.
        scale: Guidance scale of the protocol.
    """

    index: int
    count: int
    timestep: Tensor
    scale: float


@dataclass(frozen=True)
class Site:
    """A U-Net module whose output an intervention sees and may replace.

    Attributes:
        name: Its name in the U-Net, for example ``"mid_block"``.
        module: The module itself.
        inputs: What it was called with.
        keywords: The same, by name.
    """

    name: str
    module: torch.nn.Module
    inputs: tuple[Any, ...]
    keywords: Mapping[str, Any]


class Steering:
    """Does nothing; made anew for every batch, so a subclass may keep state between steps.

    Every decision must be made image by image (norms, quantiles and draws of one image alone), so that
    an image does not depend on the batch it is drawn in.

    Attributes:
        branches: ``b`` further prompts for every image, whose noise is predicted at every step on the
            same latents: ``n`` tuples of equal length. Each costs one more pass of the U-Net.
    """

    branches: Sequence[Sequence[str]] = ()

    def text(self, step: Step, states: Tensor, latents: Tensor) -> Tensor:
        """Conditional text states ``(n, length, d)`` used in this step; ``latents`` is what is denoised."""
        return states

    def feature(self, step: Step, site: Site, output: Tensor) -> Tensor:
        """The module's output that the U-Net goes on with.

        Rows ``0 .. n-1`` are unconditional, ``n .. 2n-1`` conditional, then ``n`` for every branch.
        """
        return output

    def noise(self, step: Step, uncond: Tensor, text: Tensor, branches: Sequence[Tensor]) -> Tensor:
        """The guided prediction ``(n, c, h, w)``; without steering ``uncond + s (text - uncond)``."""
        return uncond + step.scale * (text - uncond)
