"""Models drawn whole: text-to-image pipelines with a transformer (SD3, Flux, PixArt and others like them).

Such a pipeline is not opened up: diffusers' own call draws the images, with the model's own scheduler.
So it takes the baseline and the methods that rewrite prompts, and no method that acts inside.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.sampler import BatchSampler, Drawn
from evenhand.bench.models.unet import Model, unknown_pipeline
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.base import Cell, Intervention, Method
from evenhand.methods.shared.randomness import image_stream

ASKED = {"prompt", "height", "width", "num_inference_steps", "guidance_scale", "generator", "output_type"}
"""Arguments that a pipeline must take."""

OTHER_TASKS = {"image", "control_image", "num_frames"}
"""Arguments of pipelines that draw from an image, or that draw clips."""

OUTSIDE = {"none", "prompt"}
"""Families of methods that leave the inside of a model alone."""

FIXED = {"use_resolution_binning": False, "clean_caption": False}
"""Switches of some pipelines. The first draws another size than asked for and stretches it; the second works
only where certain packages are installed, so that images would depend on them."""


def call_settings(protocol: Protocol) -> dict[str, Any]:
    """A protocol as the arguments of a pipeline of diffusers."""
    return {
        "num_inference_steps": protocol.steps,
        "guidance_scale": protocol.guidance,
        "height": protocol.height,
        "width": protocol.width,
        "output_type": "np",
    }


def drawn_text(intervention: Intervention, prompt: str, seed: int) -> str:
    """The text that a pipeline is given for a prompt."""
    digest = intervention.digest() if type(intervention) is not Intervention else ""
    return intervention.prompt(prompt, image_stream(digest, prompt, seed))


def acts_inside(kind: type[Intervention]) -> bool:
    """Whether such interventions act on text states or single steps, which a pipeline hides."""
    return kind.embedding is not Intervention.embedding or kind.steer is not Intervention.steer


class WholePipeline(Model):
    """A text-to-image pipeline with a transformer, of the family ``transformer``.

    Raises:
        EvenhandError: The pipeline has no transformer, or asks for more than a text.
    """

    def __init__(self, pipe: Any, *, name: str, revision: str, device: str) -> None:
        known: Mapping[str, inspect.Parameter] = MappingProxyType({})
        if getattr(pipe, "transformer", None) is not None:
            known = inspect.signature(type(pipe).__call__).parameters
        if ASKED - set(known) or OTHER_TASKS & set(known):
            raise unknown_pipeline(pipe, name)
        super().__init__(
            pipe, name=name, family="transformer", denoiser=pipe.transformer, revision=revision, device=device
        )
        for part in pipe.components.values():
            if isinstance(part, torch.nn.Module):
                self._frozen(part)
        pipe.set_progress_bar_config(disable=True)
        self._fixed = {argument: value for argument, value in FIXED.items() if argument in known}
        self._tokenizers = list(_tokenizers(pipe, known))

    @property
    def size(self) -> tuple[int, int]:
        """Native image width and height in pixels."""
        latent = getattr(self.pipeline, "default_sample_size", None) or self.denoiser.config.sample_size
        side = int(latent) * int(self.pipeline.vae_scale_factor)
        return side, side

    def check_method(self, method: Method, *, cells: Sequence[Cell]) -> None:
        """Refuse a method that acts inside the model.

        Raises:
            EvenhandError: It does, or it cannot balance these cells.
        """
        info = method.info
        if info.family not in OUTSIDE or acts_inside(method.intervention_type):
            raise EvenhandError(
                f"method {info.name!r} acts inside a model (family {info.family}), and {self.name!r}, of "
                f"family {self.family}, is drawn whole by its own pipeline; use a method of the family "
                "prompt, or a Stable Diffusion 1.x, 2.x or SDXL model"
            )
        super().check_method(method, cells=cells)

    def check_protocol(self, protocol: Protocol) -> None:
        """Refuse a protocol that the pipeline cannot follow.

        Raises:
            EvenhandError: It names a solver or compiled kernels, or asks for guidance of a model that takes
                none.
        """
        if protocol.solver != "own":
            raise EvenhandError(
                f"model {self.name!r} ({self.family}) is drawn with its own scheduler, not with solver "
                f'{protocol.solver!r}; set solver = "own" in the suite\'s protocol'
            )
        if protocol.compilation != "none":
            raise EvenhandError(
                f"model {self.name!r} ({self.family}) is drawn whole by its own pipeline, which is not "
                'compiled; set compilation = "none" in the suite\'s protocol'
            )
        if self.denoiser.config.get("guidance_embeds") is False and protocol.guidance != 1:
            raise EvenhandError(
                f"model {self.name!r} takes no guidance, and the suite's protocol asks for "
                f"{protocol.guidance:g}; set guidance = 1"
            )

    def check_text(self, text: str) -> None:
        """Refuse a text that an encoder would cut.

        Raises:
            EvenhandError: It has more tokens than a text encoder reads.
        """
        for tokenizer, length in self._tokenizers:
            needed = len(tokenizer(text, truncation=False).input_ids)
            if needed > length:
                raise EvenhandError(
                    f"prompt {text[:60]!r} has {needed} tokens, {self.name} reads {length}; shorten it"
                )

    def draw(
        self, texts: Sequence[str], seeds: Sequence[int], *, protocol: Protocol
    ) -> NDArray[np.floating[Any]]:
        """Images ``(n, height, width, 3)`` in ``[0, 1]``, not finite where the model fails.

        Each has a generator of its own on the CPU, so its noise depends on its seed alone.

        Raises:
            EvenhandError: A text is too long, or the pipeline cannot draw images of this size.
        """
        for text in texts:
            self.check_text(text)
        size = f"{protocol.width} x {protocol.height}"
        try:
            images = self.pipeline(
                list(texts),
                generator=[torch.Generator().manual_seed(seed) for seed in seeds],
                **call_settings(protocol),
                **self._fixed,
            ).images
        except (ValueError, RuntimeError) as fault:
            reason = (str(fault).strip() or type(fault).__name__).splitlines()[0]
            raise EvenhandError(
                f"model {self.name!r} cannot draw {len(texts)} images of {size} ({reason[:200]}); "
                "change the suite's protocol"
            ) from fault
        images = np.asarray(images)
        if images.shape != (len(texts), protocol.height, protocol.width, 3):
            height, width = images.shape[1:3]
            raise EvenhandError(
                f"model {self.name!r} draws images of {width} x {height} in place of {size}; "
                "choose a width and height that it takes"
            )
        return images

    def try_out(self) -> None:
        """Draw one image as small as can be: parts that do not fit raise here."""
        side = 8 * int(self.pipeline.vae_scale_factor)
        least = Protocol(version="1", steps=2, guidance=2, width=side, height=side, batch=1)
        self.draw(["a"], [0], protocol=least)


def _tokenizers(pipe: Any, known: Mapping[str, inspect.Parameter]) -> Iterator[tuple[Any, int]]:
    """Every tokenizer with an encoder, and the tokens of a text that the pipeline passes on."""
    most = known["max_sequence_length"].default if "max_sequence_length" in known else None
    for part, tokenizer in pipe.components.items():
        encoder = pipe.components.get(part.replace("tokenizer", "text_encoder"))
        if part.startswith("tokenizer") and tokenizer is not None and encoder is not None:
            yield tokenizer, min(tokenizer.model_max_length, most or tokenizer.model_max_length)


class PipelineSampler(BatchSampler):
    """Draws images with a model's own pipeline, one batch at a time.

    Args:
        model: The model.
        protocol: The protocol; its solver is ``own``.

    Raises:
        EvenhandError: The model cannot follow the protocol.
    """

    model: WholePipeline

    def __init__(self, model: WholePipeline, protocol: Protocol) -> None:
        model.check_protocol(protocol)
        # A pipeline keeps the state of its call in itself, so two threads cannot share it.
        super().__init__(model, protocol, cores=1)

    @contextmanager
    def _in_force(self, intervention: Intervention) -> Iterator[None]:
        weights = intervention.weights or intervention.concept_weights
        if weights or acts_inside(type(intervention)) or intervention.sites():
            raise EvenhandError(
                f"{type(intervention).__name__} acts inside the model, and {self.model.name!r} "
                f"({self.model.family}) is drawn whole by its own pipeline; use a method that rewrites "
                "prompts"
            )
        handle = self.model.denoiser.register_forward_pre_hook(self._stop_if_asked)
        try:
            yield
        finally:
            handle.remove()

    def _stop_if_asked(self, *_: object) -> None:
        if self._stopped.is_set():
            raise CancelledError("drawing was stopped")

    @torch.inference_mode()
    def _batch(self, pairs: list[tuple[str, int]], intervention: Intervention, negative: str) -> Drawn:
        if negative:
            raise EvenhandError(
                f"model {self.model.name!r} is drawn without negative prompts, not with {negative[:60]!r}; "
                "leave the method's negative_prompt empty"
            )
        texts = [drawn_text(intervention, prompt, seed) for prompt, seed in pairs]
        images = self.model.draw(texts, [seed for _, seed in pairs], protocol=self.protocol)
        finite = np.isfinite(images).all(axis=(1, 2, 3))
        shown = np.where(finite[:, None, None, None], images, 0.0)
        return np.round(shown * 255).astype(np.uint8), finite
