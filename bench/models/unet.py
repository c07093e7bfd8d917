"""Loaded text-to-image models; U-Net models have access to their parts for sampling and editing."""

from __future__ import annotations

import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, Literal

import torch
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models import memory
from evenhand.bench.models.autoencoder import Autoencoder
from evenhand.bench.models.pipelines import check_pipeline, check_u_net
from evenhand.bench.models.text_states import changed_rows, prepare
from evenhand.methods.base import Cell, Images, Method, TextStates
from evenhand.methods.hooks import RowChange, Site
from evenhand.methods.shared.training import signal_and_noise

CACHED_TEXTS = 1024
"""Number of texts whose states are kept: 0.2 GB for Stable Diffusion 1.x in ``float32``, 0.6 GB for SDXL."""

SMALLEST_SIGNAL = 2**-24
"""What diffusers' solvers take for a signal of 0."""

_Encoded = tuple[Tensor, Tensor, tuple[int, ...]]
"""States, pooled vector (empty unless SDXL) and token ids of one text."""


class Model(ABC):
    """Base class of loaded text-to-image models.

    Attributes:
        name: The name that it was loaded with.
        family: ``sd1``, ``sd2``, ``sdxl``, ``video`` or ``transformer``.
        revision: SHA-256 over weights and configuration files.
        device: Device of the networks.
        pipeline: The diffusers pipeline of the networks.
        denoiser: The denoising network.
        evaluations: Number of images passed through the denoiser outside sampling: the training cost of a
            method.
    """

    def __init__(
        self, pipe: Any, *, name: str, family: str, denoiser: Any, revision: str, device: str
    ) -> None:
        self.name = name
        self.family = family
        self.revision = revision
        self.device = torch.device(device)
        self.pipeline = pipe
        self.denoiser = self._frozen(denoiser)
        self.evaluations = 0

    def _frozen(self, network: Any) -> Any:
        return network.to(self.device).eval().requires_grad_(False)

    @contextlib.contextmanager
    def resting(self) -> Iterator[None]:
        """A context in which the networks wait in the main memory, so that others can use the device's."""
        parts = self.pipeline.components.values()
        networks = [part for part in parts if isinstance(part, torch.nn.Module)]
        try:
            self._move(networks, "cpu")
            memory.release()
            yield
        finally:
            self._move(networks, self.device)

    def _move(self, networks: Sequence[torch.nn.Module], device: torch.device | str) -> None:
        for network in networks:
            network.to(device)

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Native image width and height in pixels."""

    def check_method(self, method: Method, *, cells: Sequence[Cell]) -> None:
        """Check that a method supports this model and can balance these cells.

        Raises:
            EvenhandError: It does not.
        """
        method.check(family=self.family, cells=cells)


class UNetModel(Model):
    """A pipeline in Stable Diffusion format, with access to its parts for sampling and editing.

    Its family is ``sd1``, ``sd2``, ``sdxl``, or ``video`` (see
    :mod:`evenhand.bench.models.video`).

    Attributes:
        unet: The U-Net.
        vae: The autoencoder, a diffusers model.
        autoencoder: The same, with the scaling of latents.
        text_encoders: Pairs of tokenizer and text encoder.
    """

    def __init__(self, pipe: Any, *, name: str, revision: str, device: str) -> None:
        family = _family(pipe, name)
        super().__init__(pipe, name=name, family=family, denoiser=pipe.unet, revision=revision, device=device)
        self.unet = self.denoiser
        self.vae = self._frozen(pipe.vae)
        self.autoencoder = Autoencoder(self.vae, family=family)
        self.scheduler = pipe.scheduler
        self.text_encoders = [
            (getattr(pipe, f"tokenizer{n}"), self._frozen(getattr(pipe, f"text_encoder{n}")))
            for n in ("", "_2")
            if getattr(pipe, f"text_encoder{n}", None) is not None
        ]
        self._spare: dict[str, Tensor] = {}
        self._encoded = self._cached()
        # Tokenizers keep padding state between calls, so threads must take turns.
        self._reading = threading.Lock()
        for _, encoder in self.text_encoders:
            prepare(encoder)

    @property
    def size(self) -> tuple[int, int]:
        """Native image width and height in pixels."""
        scale = 2 ** (len(self.vae.config.block_out_channels) - 1)
        side = int(self.unet.config.sample_size) * scale
        return side, side

    def _move(self, networks: Sequence[torch.nn.Module], device: torch.device | str) -> None:
        super()._move(networks, device)
        # What is kept between batches is on the device too.
        self._spare.clear()
        self._encoded = self._cached()

    def encode(self, texts: Sequence[str]) -> TextStates:
        """Text states of the prompts; each text is encoded once and cached."""
        rows = [self._encoded(text) for text in texts]
        return TextStates(
            states=torch.stack([states for states, _, _ in rows]),
            first_eos=torch.tensor([len(ids) - 1 for _, _, ids in rows]),
            pooled=torch.stack([pooled for _, pooled, _ in rows]) if self.family == "sdxl" else None,
            texts=tuple(texts),
            ids=tuple(ids for _, _, ids in rows),
        )

    def unconditional(self, count: int) -> TextStates:
        """Text states of ``count`` rows without a prompt, as the model's pipeline uses them for guidance.

        Those of the empty text, except for SDXL models with ``force_zeros_for_empty_prompt``: all zero.
        """
        text = self.encode([""] * count)
        if not self.pipeline.config.get("force_zeros_for_empty_prompt", False) or text.pooled is None:
            return text
        return replace(text, states=torch.zeros_like(text.states), pooled=torch.zeros_like(text.pooled))

    def _cached(self) -> Callable[[str], _Encoded]:
        """The encoder with an empty cache."""
        return lru_cache(CACHED_TEXTS)(self._encode_one)

    def token_ids(self, text: str) -> list[int]:
        """Token ids of the prompt by the first tokenizer, with begin and end tokens, without padding."""
        with self._reading:
            return list(self.text_encoders[0][0](text).input_ids)

    # Never in inference mode: methods may train on cached states.
    @torch.inference_mode(mode=False)
    @torch.no_grad()
    def _encode_one(self, text: str) -> _Encoded:
        states, pooled = self._run([text])
        return states[0], pooled[0] if self.family == "sdxl" else pooled, tuple(self.token_ids(text))

    def _run(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """States ``(n, length, d)`` and SDXL's pooled vectors ``(n, p)``, empty for the other families."""
        parts, pooled = [], torch.empty(0)
        for tokenizer, encoder in self.text_encoders:
            length = min(tokenizer.model_max_length, encoder.config.max_position_embeddings)
            with self._reading:
                for text in texts:
                    needed = len(tokenizer(text).input_ids)
                    if needed > length:
                        raise EvenhandError(
                            f"prompt {text[:60]!r} has {needed} tokens, "
                            f"{self.name} accepts {length}; shorten it"
                        )
                batch = tokenizer(texts, padding="max_length", max_length=length, return_tensors="pt")
            # No attention mask: the released pipelines encode the padding too.
            output = encoder(batch.input_ids.to(self.device), output_hidden_states=self.family == "sdxl")
            if self.family == "sdxl":
                parts.append(output.hidden_states[-2])
                pooled = output[0]
            else:
                parts.append(output.last_hidden_state)
        return torch.cat(parts, dim=-1), pooled

    def encode_uncached(self, texts: Sequence[str], change: RowChange | None = None) -> TextStates:
        """As :meth:`encode`, but in one batch, with gradients, and without the cache.

        Args:
            texts: Prompts.
            change: Computes the input rows ``(n, length, d)`` of the text encoder, token plus position
                embeddings, from those of the prompts and the positions ``(n,)`` of the first end-of-text
                tokens.

        Raises:
            EvenhandError: A prompt is too long, or ``change`` is given for a model with two text encoders.
        """
        if change is not None and len(self.text_encoders) > 1:
            raise EvenhandError(
                f"{self.name} has two text encoders, whose input rows cannot be changed; "
                "use a Stable Diffusion 1.x or 2.x model"
            )
        ids = tuple(tuple(self.token_ids(text)) for text in texts)
        first_eos = torch.tensor([len(row) - 1 for row in ids])
        rows = None if change is None else lambda embedded: change(embedded, first_eos.to(embedded.device))
        with changed_rows(rows):
            states, pooled = self._run(list(texts))
        return TextStates(
            states=states,
            first_eos=first_eos,
            pooled=pooled if self.family == "sdxl" else None,
            texts=tuple(texts),
            ids=ids,
        )

    def cross_attention(self) -> dict[str, Tensor]:
        """Copies ``(m, d)`` of the current K and V projections of every ``attn2``, by parameter name."""
        # The `attn2` of temporal layers of video models attends to frames, not to the text.
        return {
            f"unet.{name}.to_{letter}.weight": getattr(module, f"to_{letter}").weight.detach().clone()
            for name, module in self.unet.named_modules()
            if name.endswith("attn2") and module.is_cross_attention
            for letter in "kv"
        }

    @property
    def alphas_cumprod(self) -> Tensor:
        """The noise schedule: cumulative product of alphas at every training timestep, ``(T,)``, above 0."""
        # A schedule with zero terminal SNR ends at 0, by which methods would divide.
        alphas: Tensor = self.scheduler.alphas_cumprod.to(self.device).clamp(min=SMALLEST_SIGNAL)
        return alphas

    def latents(self, images: Images) -> Tensor:
        """Scaled latents ``(n, c, h, w)`` of images: the posterior means of the autoencoder."""
        dtype: torch.dtype = self.unet.dtype
        return self.autoencoder.encode(images).to(dtype)

    def unscaled(self, latents: Tensor) -> Tensor:
        """Latents ``(n, c, h, w)`` as the decoder expects them, with gradients."""
        return self.autoencoder.unscaled(latents)

    def predict(self, latents: Tensor, timesteps: Tensor, text: TextStates) -> Tensor:
        """The noise prediction ``(n, c, h, w)`` of the U-Net, with gradients; counts every row.

        Args:
            latents: Noisy latents ``(n, c, h, w)``.
            timesteps: Training timesteps ``(n,)``.
            text: Text states of ``n`` prompts.
        """
        self.evaluations += len(latents)
        scale = 2 ** (len(self.vae.config.block_out_channels) - 1)
        extra = self.conditioning(text, height=latents.shape[2] * scale, width=latents.shape[3] * scale)
        states = text.states.to(self.unet.dtype)
        output: Tensor = self.unet(
            latents, timesteps, encoder_hidden_states=states, added_cond_kwargs=extra
        ).sample
        if self.scheduler.config.prediction_type != "v_prediction":
            return output
        signal, level = signal_and_noise(self.alphas_cumprod[timesteps], latents.dtype)
        return signal * output + level * latents

    def conditioning(self, text: TextStates, *, height: int, width: int) -> dict[str, Tensor]:
        """Pooled text embedding and image size for SDXL; empty for the other families."""
        if text.pooled is None:
            return {}
        ids = torch.tensor([[height, width, 0, 0, height, width]], device=self.device)
        return {
            "text_embeds": text.pooled,
            "time_ids": ids.expand(len(text.pooled), -1).to(text.pooled.dtype),
        }

    @contextlib.contextmanager
    def features(self, sites: Sequence[str], function: Callable[[Site, Tensor], Tensor]) -> Iterator[None]:
        """Apply ``function`` to the outputs of the named U-Net modules within the context.

        If a module returns a tuple, applies to its first element.

        Raises:
            EvenhandError: The U-Net has no module of this name.
        """
        modules = dict(self.unet.named_modules())
        handles = []
        try:
            for name in sites:
                if name not in modules:
                    raise EvenhandError(
                        f"intervention acts on module {name!r}, which {self.name} does not have"
                    )
                hook = partial(_through, name, function)
                handles.append(modules[name].register_forward_hook(hook, with_kwargs=True))
            yield
        finally:
            for handle in handles:
                handle.remove()

    @contextlib.contextmanager
    def edited(self, weights: Mapping[str, Tensor]) -> Iterator[None]:
        """Copy ``weights`` into the model in place; restores the old values exactly on exit.

        Args:
            weights: ``unet.NAME`` or ``text_encoder.NAME`` (``text_encoder_2.NAME``) to new values.

        Raises:
            EvenhandError: A name is not a parameter of the model, or a shape differs.
        """
        parameters = self.parameters() if weights else {}
        for name, value in weights.items():
            if name not in parameters or parameters[name].shape != value.shape:
                raise EvenhandError(
                    f"intervention edits {name} {tuple(value.shape)}, which {self.name} does not have"
                )
        edited = {name: parameters[name] for name in weights}
        kept = {name: self._buffer(name, value) for name, value in edited.items()}
        _copy(edited, kept)
        cached = self._encoded
        try:
            _copy(weights, edited)
            if any(name.startswith("text_encoder") for name in weights):
                self._encoded = self._cached()
            yield
        finally:
            _copy(kept, edited)
            self._encoded = cached
            self._spare.update(kept)

    @torch.inference_mode(mode=False)
    def _buffer(self, name: str, value: Tensor) -> Tensor:
        """A reusable buffer for a value; allocating memory would take longer than the copy."""
        return self._spare.pop(name) if name in self._spare else torch.empty_like(value)

    def parameters(self) -> dict[str, Tensor]:
        """Every weight of the U-Net and of the text encoders, by the names of :meth:`edited`."""
        encoders = [encoder for _, encoder in self.text_encoders]
        networks = dict(zip(("unet", "text_encoder", "text_encoder_2"), [self.unet, *encoders], strict=False))
        return {
            f"{part}.{name}": value
            for part, network in networks.items()
            for name, value in network.named_parameters()
        }


def _through(
    name: str,
    function: Callable[[Site, Tensor], Tensor],
    module: torch.nn.Module,
    inputs: tuple[Any, ...],
    keywords: dict[str, Any],
    output: Any,
) -> Any:
    """A forward hook that replaces the output, or the first element of an output tuple."""
    site = Site(name=name, module=module, inputs=inputs, keywords=keywords)
    if isinstance(output, Tensor):
        return function(site, output)
    return (function(site, output[0]), *output[1:])


@torch.no_grad()
def _copy(values: Mapping[str, Tensor], into: Mapping[str, Tensor]) -> None:
    for name, place in into.items():
        place.copy_(values[name])


def _family(pipe: Any, name: str) -> Literal["sd1", "sd2", "sdxl", "video"]:
    check_pipeline(type(pipe), name)
    if type(pipe.unet).__name__ == "UNet3DConditionModel":
        return "video"
    check_u_net(pipe, name)
    if hasattr(pipe, "text_encoder_2"):
        return "sdxl"
    return "sd2" if pipe.unet.config.cross_attention_dim == 1024 else "sd1"


def as_unet_model(model: Model) -> UNetModel:
    """``model``, checked to be a U-Net model.

    Raises:
        EvenhandError: It is run as a whole pipeline, see :mod:`evenhand.bench.models.whole_pipeline`.
    """
    if isinstance(model, UNetModel):
        return model
    raise EvenhandError(
        f"model {model.name!r} ({model.family}) is run as a whole pipeline, without access to its parts; "
        "use a Stable Diffusion 1.x, 2.x or SDXL model"
    )
