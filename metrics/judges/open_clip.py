"""A zero-shot judge on any model that open_clip loads from a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from evenhand.metrics.judges.base import Answer, DifferentiableJudge, Images, JudgeInfo
from evenhand.metrics.judges.folder import in_batches, require, version
from evenhand.metrics.judges.pixels import shown

FILES = ("open_clip_config.json", "open_clip_model.safetensors")


class OpenClipJudge(DifferentiableJudge):
    """Chooses for each picture the group whose words lie nearest in a CLIP's space.

    A group's embedding is the mean, over its words and all templates, of normalised text embeddings,
    normalised again (Radford et al. 2021, prompt ensembling). The answer is the softmax over the groups
    of the model's own logit scale times the cosine; a CLIP always answers, so "cannot tell" gets 0.

    Args:
        name: The judge's name.
        folder: Folder with ``open_clip_config.json``, ``open_clip_model.safetensors`` and, where the
            configuration names a Hugging Face tokenizer, the tokenizer's files.
        title: The judge's name for people.
        words: Attribute to group to the words that describe it, article included: ``"an elderly person"``.
        templates: Sentences with one ``{}`` for the words.
        licence: Licence of the weights.
        origin: Where the weights come from.
        family: Judges of one family have one vote.
        device: Where the network runs.

    Raises:
        EvenhandError: The folder or one of its files is missing.
    """

    def __init__(
        self,
        *,
        name: str,
        folder: Path,
        title: str,
        words: Mapping[str, Mapping[str, Sequence[str]]],
        templates: Sequence[str],
        licence: str,
        origin: str,
        family: str = "clip",
        device: str = "cpu",
    ) -> None:
        require(folder, FILES)
        self._folder = folder
        self._words = {attribute: dict(groups) for attribute, groups in words.items()}
        self._templates = tuple(templates)
        self._device = device
        self.info = JudgeInfo(
            name=name,
            version=version([folder], [self._words, self._templates]),
            title=title,
            summary=f"open_clip zero-shot over {len(self._templates)} templates",
            family=family,
            taxonomies={attribute: tuple(groups) for attribute, groups in self._words.items()},
            licence=licence,
            origin=origin,
        )

    def label(self, images: Images) -> dict[str, Answer]:
        """Answers for every attribute of the words."""
        pictures = self._embed_images(images)
        status = ("ok",) * len(images)
        answers = {}
        for attribute, anchors in self._anchors.items():
            shares = self._softmax(pictures, anchors)
            answers[attribute] = Answer(np.column_stack([shares, np.zeros(len(images))]), status)
        return answers

    def zero_shot(self, images: Images, texts: list[str]) -> NDArray[np.float64]:
        """Softmax over ``texts``, each one taken as it stands, ``(n, len(texts))``."""
        return self._softmax(self._embed_images(images), self._embed_texts(texts))

    def logits(self, pixels: Tensor, texts: list[str]) -> Tensor:
        """The logits ``(n, len(texts))`` whose softmax is :meth:`zero_shot`, with gradients."""
        network, _, _ = self._model
        visual = network.visual
        seen = shown(
            pixels.to(self._device, torch.float32),
            size=visual.image_size[0] if isinstance(visual.image_size, tuple) else visual.image_size,
            mean=visual.image_mean,
            std=visual.image_std,
        )
        # a copy, since tensors of inference mode cannot take part in a gradient
        anchors = self._embed_texts(list(texts)).clone()
        found: Tensor = network.logit_scale.exp() * normalize(network.encode_image(seen), dim=-1) @ anchors.T
        return found

    @cached_property
    # Not in inference mode, whatever the caller's: gradients flow through it to what a method trains.
    @torch.inference_mode(mode=False)
    def _model(
        self,
    ) -> tuple[Any, Any, Any]:
        """Network in single precision, picture transform and tokenizer, as open_clip makes them."""
        source = f"local-dir:{self._folder}"
        network, _, transform = open_clip.create_model_and_transforms(
            source, precision="fp32", device=self._device
        )
        return network.eval().requires_grad_(False), transform, open_clip.get_tokenizer(source)

    @cached_property
    def _anchors(self) -> dict[str, Tensor]:
        """Attribute to one unit embedding per group, ``(K, d)``."""
        return {
            attribute: torch.stack([self._anchor(words) for words in groups.values()])
            for attribute, groups in self._words.items()
        }

    def _anchor(self, words: Sequence[str]) -> Tensor:
        texts = [template.format(word) for word in words for template in self._templates]
        return normalize(self._embed_texts(texts).mean(dim=0), dim=0)

    @torch.inference_mode()
    def _embed_texts(self, texts: list[str]) -> Tensor:
        network, _, tokenizer = self._model
        return normalize(in_batches(network.encode_text, tokenizer(texts).to(self._device)), dim=-1)

    @torch.inference_mode()
    def _embed_images(self, images: Images) -> Tensor:
        network, transform, _ = self._model
        pixels = torch.stack([transform(Image.fromarray(image)) for image in images])
        return normalize(in_batches(network.encode_image, pixels.to(self._device)), dim=-1)

    @torch.inference_mode()
    def _softmax(self, pictures: Tensor, texts: Tensor) -> NDArray[np.float64]:
        network, _, _ = self._model
        logits = network.logit_scale.exp() * pictures @ texts.T
        shares: NDArray[np.float64] = logits.double().softmax(dim=1).cpu().numpy()
        return shares
