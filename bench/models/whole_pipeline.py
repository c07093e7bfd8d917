"""Models that are run as whole pipelines: text-to-image pipelines with a transformer (SD3, Flux, PixArt, …).

The diffusers pipeline generates the images, with the scheduler of the model. Only the baseline and methods
that rewrite prompts are supported, not methods that act inside the model.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models import memory
from evenhand.bench.models.large_models import choose_attention, compile_blocks, enable_offload
from evenhand.bench.models.pipelines import check_guidance, check_pipeline, guidance_arguments
from evenhand.bench.models.sampler import BatchSampler, Drawn
from evenhand.bench.models.unet import Model
from evenhand.bench.suites.protocol import Offload
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.base import Cell, Intervention, Method
from evenhand.methods.shared.randomness import image_stream

OUTSIDE = {"none", "prompt"}
"""Families of methods that do not act inside the model."""

FIXED = {"use_resolution_binning": False, "clean_caption": False}
"""Options of some pipelines. The first generates another size and rescales it; the second works only if some
packages are installed, so that images would depend on them."""


DEFAULT_SIDE = 1024
"""Native size in pixels of pipelines that state none; all of them draw at a million pixels."""


def call_settings(protocol: Protocol) -> dict[str, Any]:
    """The protocol without the guidance scale, as arguments of a diffusers pipeline."""
    return {
        "num_inference_steps": protocol.steps,
        "height": protocol.height,
        "width": protocol.width,
        "output_type": "np",
    }


def rewritten_prompt(intervention: Intervention, prompt: str, seed: int) -> str:
    """The text for the pipeline: the prompt, possibly rewritten by the intervention."""
    digest = intervention.digest() if type(intervention) is not Intervention else ""
    return intervention.prompt(prompt, image_stream(digest, prompt, seed))


def acts_inside(kind: type[Intervention]) -> bool:
    """Whether interventions of this type act on text states or denoising steps."""
    return kind.embedding is not Intervention.embedding or kind.steer is not Intervention.steer


class WholePipeline(Model):
    """A text-to-image pipeline with a transformer, of the family ``transformer``.

    Args:
        pipe: The pipeline.
        name: The name that it was loaded with.
        revision: SHA-256 over weights and configuration files.
        device: Device that draws.
        offload: Which weights wait in the main memory.

    Raises:
        EvenhandError: The pipeline cannot be benchmarked, see :mod:`evenhand.bench.models.pipelines`.
    """

    def __init__(
        self, pipe: Any, *, name: str, revision: str, device: str, offload: Offload = "none"
    ) -> None:
        check_pipeline(type(pipe), name)
        self._offload = offload
        known = inspect.signature(type(pipe).__call__).parameters
        super().__init__(
            pipe, name=name, family="transformer", denoiser=pipe.transformer, revision=revision, device=device
        )
        for part in pipe.components.values():
            if isinstance(part, torch.nn.Module):
                self._frozen(part)
        enable_offload(pipe, offload, device=self.device, name=name)
        pipe.set_progress_bar_config(disable=True)
        if hasattr(getattr(pipe, "vae", None), "enable_slicing"):
            # Decodes image by image, which needs less memory and takes no longer.
            pipe.vae.enable_slicing()
        self._fixed = {argument: value for argument, value in FIXED.items() if argument in known}
        self._tokenizers = list(_tokenizers(pipe, known))

    def _frozen(self, network: Any) -> Any:
        """The network for inference, on the device unless its weights wait elsewhere."""
        network = network.eval().requires_grad_(False)
        return network if self._offload != "none" else network.to(self.device)

    def _move(self, networks: Sequence[torch.nn.Module], device: torch.device | str) -> None:
        if self._offload == "none":
            super()._move(networks, device)

    @property
    def size(self) -> tuple[int, int]:
        """Native image width and height in pixels."""
        pipe = self.pipeline
        latent = getattr(pipe, "default_sample_size", None) or self.denoiser.config.get("sample_size")
        side = DEFAULT_SIDE if latent is None else int(latent) * int(pipe.vae_scale_factor)
        return side, side

    def check_method(self, method: Method, *, cells: Sequence[Cell]) -> None:
        """Check that a method does not act inside the model and can balance these cells.

        Raises:
            EvenhandError: It does act inside the model, or cannot balance the cells.
        """
        info = method.info
        if info.family not in OUTSIDE or acts_inside(method.intervention_type):
            raise EvenhandError(
                f"method {info.name!r} (family {info.family}) acts inside the model, but "
                f"{self.name!r} (family "
                f"{self.family}) is run as a whole pipeline; use a method of the family prompt, or a Stable "
                "Diffusion 1.x, 2.x or SDXL model"
            )
        super().check_method(method, cells=cells)

    def check_protocol(self, protocol: Protocol) -> None:
        """Check that the pipeline supports the protocol.

        Raises:
            EvenhandError: The protocol has a solver, compiles the whole network, or has guidance for a model
                without guidance.
        """
        if protocol.solver != "own":
            raise EvenhandError(
                f"model {self.name!r} ({self.family}) uses its own scheduler, not solver "
                f"{protocol.solver!r}; "
                'set solver = "own" in the protocol of the suite'
            )
        if protocol.compilation == "whole":
            raise EvenhandError(
                f"model {self.name!r} ({self.family}) is run as a whole pipeline, whose network cannot be "
                'compiled as a whole; set compilation = "blocks" or "none" in the protocol of the suite'
            )
        check_guidance(self.pipeline, protocol.guidance, name=self.name)

    def check_text(self, text: str) -> None:
        """Check that no text encoder truncates the text.

        Raises:
            EvenhandError: It has more tokens than a text encoder accepts.
        """
        for tokenizer, length in self._tokenizers:
            needed = len(tokenizer(text, truncation=False).input_ids)
            if needed > length:
                raise EvenhandError(
                    f"prompt {text[:60]!r} has {needed} tokens, {self.name} accepts {length}; shorten it"
                )

    def draw(
        self, texts: Sequence[str], seeds: Sequence[int], *, protocol: Protocol
    ) -> NDArray[np.floating[Any]]:
        """Generate images ``(n, height, width, 3)`` in ``[0, 1]``; may have non-finite pixels.

        Each image has a separate generator on the CPU, so its noise depends only on its seed.

        Raises:
            EvenhandError: A text is too long, or the pipeline does not support the image size.
        """
        for text in texts:
            self.check_text(text)
        size = f"{protocol.width} x {protocol.height}"
        try:
            images = self.pipeline(
                list(texts),
                generator=[torch.Generator().manual_seed(seed) for seed in seeds],
                **call_settings(protocol),
                **guidance_arguments(type(self.pipeline), protocol.guidance),
                **self._fixed,
            ).images
        except (ValueError, RuntimeError) as fault:
            if memory.is_out_of_memory(fault):
                raise
            reason = (str(fault).strip() or type(fault).__name__).splitlines()[0]
            raise EvenhandError(
                f"model {self.name!r} cannot generate {len(texts)} images of {size} ({reason[:200]}); "
                "change the protocol of the suite"
            ) from fault
        images = np.asarray(images)
        if images.shape != (len(texts), protocol.height, protocol.width, 3):
            height, width = images.shape[1:3]
            raise EvenhandError(
                f"model {self.name!r} generates images of {width} x {height} instead of {size}; "
                "set a width and height that it supports"
            )
        return images

    def check_parts(self) -> None:
        """Generate one minimal image, so that inconsistent parts raise here."""
        side = 8 * int(self.pipeline.vae_scale_factor)
        minimal = Protocol(version="1", steps=2, guidance=2, width=side, height=side, batch=1)
        self.draw(["a"], [0], protocol=minimal)


def _tokenizers(pipe: Any, known: Mapping[str, inspect.Parameter]) -> Iterator[tuple[Any, int]]:
    """Yield every tokenizer with a text encoder, and the number of tokens that the pipeline accepts."""
    limit = known["max_sequence_length"].default if "max_sequence_length" in known else None
    for part, tokenizer in pipe.components.items():
        encoder = pipe.components.get(part.replace("tokenizer", "text_encoder"))
        if part.startswith("tokenizer") and tokenizer is not None and encoder is not None:
            yield tokenizer, min(tokenizer.model_max_length, limit or tokenizer.model_max_length)


class PipelineSampler(BatchSampler):
    """Generates images with the diffusers pipeline of a model, one batch at a time.

    Args:
        model: The model.
        protocol: The protocol; its solver must be ``own``.

    Raises:
        EvenhandError: The model does not support the protocol.
    """

    model: WholePipeline

    def __init__(self, model: WholePipeline, protocol: Protocol) -> None:
        model.check_protocol(protocol)
        choose_attention(model.denoiser, protocol.attention, name=model.name)
        if protocol.compilation == "blocks":
            compile_blocks(model.denoiser, name=model.name, device=model.device)
        # Pipelines have state, so threads cannot share them.
        super().__init__(model, protocol, cores=1)

    @contextmanager
    def _applied(self, intervention: Intervention) -> Iterator[None]:
        weights = intervention.weights or intervention.concept_weights
        if weights or acts_inside(type(intervention)) or intervention.sites():
            raise EvenhandError(
                f"{type(intervention).__name__} acts inside the model, but {self.model.name!r} "
                f"({self.model.family}) is run as a whole pipeline; use a method that rewrites prompts"
            )
        handle = self.model.denoiser.register_forward_pre_hook(self._stop_if_asked)
        try:
            yield
        finally:
            handle.remove()

    def _stop_if_asked(self, *_: object) -> None:
        if self._stopped.is_set():
            raise CancelledError("generation was stopped")

    @torch.inference_mode()
    def _batch(self, pairs: list[tuple[str, int]], intervention: Intervention, negative: str) -> Drawn:
        if negative:
            raise EvenhandError(
                f"model {self.model.name!r} does not support negative prompts, got {negative[:60]!r}; "
                "leave the negative_prompt of the method empty"
            )
        texts = [rewritten_prompt(intervention, prompt, seed) for prompt, seed in pairs]
        images = self.model.draw(texts, [seed for _, seed in pairs], protocol=self.protocol)
        finite = np.isfinite(images).all(axis=(1, 2, 3))
        shown = np.where(finite[:, None, None, None], images, 0.0)
        return np.round(shown * 255).astype(np.uint8), finite
