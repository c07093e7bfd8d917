"""Text-to-video models, run through their diffusers pipeline with the weight edit of a method.

Text-to-video U-Nets read the text through the same K and V projections as those for images. Therefore all
methods that edit cross-attention weights in closed form work unchanged; methods that act during denoising do
not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.unet import Model, as_unet_model
from evenhand.bench.models.whole_pipeline import acts_inside, call_settings, rewritten_prompt
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.base import Images, Intervention

Clips = NDArray[np.uint8]
"""Videos as ``(n, frames, height, width, 3)`` sRGB bytes."""


class ClipSampler:
    """Generates videos with a text-to-video model; called as a ``sample`` function, returns middle frames.

    Args:
        model: A model of the family ``video``.
        protocol: Steps, guidance and size; the solver is the scheduler of the model.
        frames: Number of frames of a video.
    """

    def __init__(self, model: Model, protocol: Protocol, *, frames: int = 16) -> None:
        if model.family != "video":
            raise EvenhandError(f"model {model.name!r} generates images, not videos; use Sampler")
        self.model, self.protocol, self.frames = as_unet_model(model), protocol, frames

    def __call__(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        intervention: Intervention | None = None,
        negative_prompt: str = "",
    ) -> Images:
        """The middle frame ``(n, height, width, 3)`` of every video, for image judges."""
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
        """Generate videos of ``prompts``, one per seed, one at a time.

        Raises:
            EvenhandError: The intervention acts on text states or denoising steps.
        """
        intervention = intervention or Intervention()
        if acts_inside(type(intervention)):
            raise EvenhandError(
                f"{type(intervention).__name__} acts during denoising, which videos do not support; use a "
                "method that edits weights or prompts"
            )
        with self.model.edited(intervention.weights):
            drawn = [
                self._clip(rewritten_prompt(intervention, prompt, seed), seed, negative_prompt)
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
            guidance_scale=self.protocol.guidance,
            **call_settings(self.protocol),
        ).frames[0]
        pixels: Clips = np.round(np.asarray(frames) * 255).astype(np.uint8)
        return pixels
