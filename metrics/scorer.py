"""Embeddings for scores that need no judge: text-image alignment and same-seed distance."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize
from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

from evenhand.metrics.judges.base import Images
from evenhand.metrics.judges.folder import in_batches, require, version

FILES = ("config.json", "model.safetensors", "preprocessor_config.json", "tokenizer_config.json")


class ClipScorer:
    """A CLIP that measures, and never judges people.

    The CLIP score of a picture and its prompt is ``100 * embed(image) @ embed_texts(prompt)`` (Hessel et al.
    2021 without their factor and floor); the scale is part of the metric's name.

    Args:
        folder: A transformers ``CLIPModel`` folder with processor and tokenizer.
        device: Where the network runs.

    Raises:
        EvenhandError: The folder or one of its files is missing.
    """

    def __init__(self, *, folder: Path, device: str = "cpu") -> None:
        require(folder, FILES)
        self._folder = folder
        self._device = device
        self.version = version([folder], [])

    @torch.inference_mode()
    def embed(self, images: Images) -> NDArray[np.float32]:
        """Unit vectors of pictures, ``(n, d)``."""
        pixels = self._processor(
            list(images), return_tensors="pt", input_data_format="channels_last"
        ).pixel_values
        model = self._model
        pooled = in_batches(lambda batch: model.vision_model(batch).pooler_output, pixels.to(self._device))
        return _unit(model.visual_projection(pooled))

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors of texts, ``(n, d)``; as for every CLIP, words beyond the context length are cut."""
        model = self._model
        length = model.config.text_config.max_position_embeddings
        options = {"padding": "max_length", "truncation": True, "max_length": length, "return_tensors": "pt"}
        # ids alone: CLIP is trained without a mask on the padding
        ids = self._tokenizer(list(texts), **options).input_ids
        pooled = in_batches(lambda batch: model.text_model(batch).pooler_output, ids.to(self._device))
        return _unit(model.text_projection(pooled))

    @cached_property
    def _model(self) -> Any:
        network = CLIPModel.from_pretrained(self._folder, use_safetensors=True)
        return network.float().eval().to(self._device)

    @cached_property
    def _processor(self) -> Any:
        return AutoImageProcessor.from_pretrained(self._folder)

    @cached_property
    def _tokenizer(self) -> Any:
        return AutoTokenizer.from_pretrained(self._folder)


def _unit(vectors: Tensor) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = normalize(vectors, dim=-1).cpu().numpy()
    return unit
