"""CLIP embeddings for text-image alignment and same-seed distances, which need no judge."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

from evenhand.metrics.judges.base import TRIAL_SIDE, Images
from evenhand.metrics.vision.loaded_weights import forget_networks, require_loaded
from evenhand.metrics.vision.pixels import shown
from evenhand.metrics.vision.weight_folder import in_batches, loading, require, version

_ROUNDING = 4e-3
"""Relative error of bfloat16, the lowest precision in which weights are stored."""

FILES = ("config.json", "model.safetensors", "preprocessor_config.json", "tokenizer_config.json")


class ClipScorer:
    """A CLIP model that embeds images and texts, and never labels people.

    The CLIP score of an image and its prompt is ``100 * embed(image) @ embed_texts(prompt)``, as in Hessel et
    al., arXiv 2104.08718, without their factor and floor.

    Args:
        folder: A transformers ``CLIPModel`` folder with processor and tokenizer.
        device: Device of the network.

    Raises:
        EvenhandError: The folder or one of its files is missing.
    """

    def __init__(self, *, folder: Path, device: str = "cpu") -> None:
        require(folder, FILES)
        self._folder = folder
        self._device = device
        self.version = version([folder], [])

    def try_out(self) -> None:
        """Embed a blank image and a text, so that damaged weights raise before any work.

        Raises:
            EvenhandError: The folder cannot be loaded.
        """
        self.embed(np.zeros((1, TRIAL_SIDE, TRIAL_SIDE, 3), np.uint8))
        self.embed_texts([""])

    def release(self) -> None:
        """Free the memory of the device; the weights are loaded again when something is next embedded."""
        forget_networks(self)

    @torch.inference_mode()
    def embed(self, images: Images) -> NDArray[np.float32]:
        """Unit vectors of images, ``(n, d)``."""
        pixels = self._processor(
            list(images), return_tensors="pt", input_data_format="channels_last"
        ).pixel_values
        model = self._model

        def projected(batch: Tensor) -> Tensor:
            vectors: Tensor = model.visual_projection(model.vision_model(batch).pooler_output)
            return vectors

        return _unit(in_batches(projected, pixels.to(self._device)))

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors of texts, ``(n, d)``; tokens beyond the context length are cut."""
        model = self._model
        length = model.config.text_config.max_position_embeddings
        options = {"padding": "max_length", "truncation": True, "max_length": length, "return_tensors": "pt"}
        # Token ids only: CLIP is trained without a mask on the padding.
        ids = self._tokenizer(list(texts), **options).input_ids

        def projected(batch: Tensor) -> Tensor:
            vectors: Tensor = model.text_projection(model.text_model(batch).pooler_output)
            return vectors

        return _unit(in_batches(projected, ids.to(self._device)))

    def features(self, pixels: Tensor) -> Tensor:
        """Unit vectors ``(n, d)`` of images ``(n, 3, height, width)`` in ``[-1, 1]``, with gradients."""
        model, processor = self._model, self._processor
        seen = shown(
            pixels.to(self._device, torch.float32),
            size=model.config.vision_config.image_size,
            mean=processor.image_mean,
            std=processor.image_std,
        )
        return normalize(model.visual_projection(model.vision_model(seen).pooler_output), dim=-1)

    def text_projection(self, encoder: nn.Module) -> Tensor | None:
        """The matrix ``(d, w)`` that projects a pooled text state of ``encoder`` into the image space.

        ``None`` if ``encoder`` is not this CLIP's own text encoder, that is, if a shape differs or a
        parameter differs by more than the rounding to half precision.
        """
        own = _parameters(self._model.text_model)
        other = _parameters(encoder)
        if {name: value.shape for name, value in own.items()} != {n: v.shape for n, v in other.items()}:
            return None
        if not all(_near(other[name], value) for name, value in own.items()):
            return None
        projection: Tensor = self._model.text_projection.weight
        return projection

    @cached_property
    # Loaded outside inference mode even if the caller is in it, because methods need gradients through it.
    @torch.inference_mode(mode=False)
    def _model(self) -> Any:
        with loading(self._folder):
            network = CLIPModel.from_pretrained(self._folder, use_safetensors=True)
            require_loaded(network, self._folder)
        return network.float().eval().requires_grad_(False).to(self._device)

    @cached_property
    def _processor(self) -> Any:
        with loading(self._folder):
            return AutoImageProcessor.from_pretrained(self._folder, trust_remote_code=False)

    @cached_property
    def _tokenizer(self) -> Any:
        with loading(self._folder):
            return AutoTokenizer.from_pretrained(self._folder, trust_remote_code=False)


def _parameters(encoder: nn.Module) -> dict[str, Tensor]:
    """Parameters by name, without the prefix ``text_model.`` that some releases of transformers add."""
    return {name.removeprefix("text_model."): value for name, value in encoder.named_parameters()}


def _near(value: Tensor, other: Tensor) -> bool:
    error = torch.linalg.norm(value.to(other) - other)
    return bool(error <= _ROUNDING * torch.linalg.norm(other))


def _unit(vectors: Tensor) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = normalize(vectors, dim=-1).cpu().numpy()
    return unit
