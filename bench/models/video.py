"""Clips: text-to-video models, drawn by diffusers' own pipeline with a method's edit in force.

An edit of cross-attention does not ask what the U-Net denoises. A text-to-video U-Net takes the text in by
the same K and V projections as one for images, so every method that edits weights by a closed form fits
and edits it unchanged; methods that act inside the denoising of images do not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.unet import Model, opened
from evenhand.bench.models.whole_pipeline import acts_inside, call_settings, drawn_text
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.base import Images, Intervention

Clips = NDArray[np.uint8]
"""Clips as ``(n, frames, height, width, 3)`` sRGB bytes."""


class ClipSampler:
    """Draws clips of a text-to-video model; as a task's ``sample`` it shows the middle frame of each.

    Args:
        model: A model of the family ``video``.
        protocol: Steps, guidance and size; the solver is the model's own.
        frames: Frames of a clip.
    """

    def __init__(self, model: Model, protocol: Protocol, *, frames: int = 16) -> None:
        if model.family != "video":
            raise EvenhandError(f"model {model.name!r} draws images, not clips; use the Sampler")
        self.model, self.protocol, self.frames = opened(model), protocol, frames

    def __call__(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        intervention: Intervention | None = None,
        negative_prompt: str = "",
    ) -> Images:
        """The middle frame ``(n, height, width, 3)`` of every clip, for judges that read images."""
        clips = self.clips(prompts, seeds, intervention=intervention, negative_prompt=negative_prompt)
        return clips[:, self.frames // 2]

    def clips(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        intervention: Intervention | None = None,
        negative_prompt: str = "",
    ) -> Clips:
        """Clips of ``prompts``, one per seed, each drawn alone.

        Raises:
            EvenhandError: The intervention acts on text states or single steps, which this pipeline hides.
        """
        intervention = intervention or Intervention()
        if acts_inside(type(intervention)):
            raise EvenhandError(
                f"{type(intervention).__name__} acts inside the denoising of images; for clips use a "
                "method that edits weights or prompts"
            )
        with self.model.edited(intervention.weights):
            drawn = [
                self._clip(drawn_text(intervention, prompt, seed), seed, negative_prompt)
                for prompt, seed in zip(prompts, seeds, strict=True)
            ]
        return np.stack(drawn)

    def _clip(self, prompt: str, seed: int, negative: str) -> Clips:
        pipeline = self.model.pipeline
        pipeline.set_progress_bar_config(disable=True)
        frames = pipeline(
            prompt,
            negative_prompt=negative,
            num_frames=self.frames,
            generator=torch.Generator().manual_seed(seed),
            **call_settings(self.protocol),
        ).frames[0]
        pixels: Clips = np.round(np.asarray(frames) * 255).astype(np.uint8)
        return pixels
