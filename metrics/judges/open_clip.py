"""A zero-shot judge on any model that open_clip loads, such as CLIP and SigLIP."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from evenhand.bench.errors import unknown
from evenhand.metrics import taxonomies
from evenhand.metrics.judges._open_clip_checkpoints import (
    FILES,
    Checkpoint,
    checkpoint,
    folder_version,
    input_side,
    weight_source,
)
from evenhand.metrics.judges._zero_shot_texts import (
    PERSON_GATE,
    SIGLIP_TEMPLATES,
    TEMPLATES,
    WORDS,
    Words,
    published,
)
from evenhand.metrics.judges.base import (
    Answer,
    DifferentiableJudge,
    GradientJudge,
    Images,
    Judge,
    JudgeInfo,
    Variants,
)
from evenhand.metrics.judges.on_faces import View, viewed
from evenhand.metrics.judges.recipe import JudgeRecipe, RecipeCard
from evenhand.metrics.taxonomies import COARSER
from evenhand.metrics.vision.device import best_device
from evenhand.metrics.vision.pixels import shown
from evenhand.metrics.vision.weight_folder import in_batches, loading, require
from evenhand.metrics.vision.weight_source import WeightSource
from evenhand.metrics.vision.weights import holds_code, hub_folder


class OpenClipJudge(DifferentiableJudge, GradientJudge):
    """A judge that chooses the group whose texts are nearest to the image in the space of a CLIP model.

    The embedding of a group is the mean of the normalised text embeddings over its words and all templates,
    normalised again (prompt ensembling, Radford et al. 2021). The answer is a softmax over the groups of the
    cosine times the model's logit scale. A CLIP model always decides, so "cannot tell" has the probability 0.
    The bias of a sigmoid-trained model (SigLIP) is equal for all groups and cancels.

    Args:
        name: The judge's name.
        folder: Folder with ``open_clip_config.json``, ``open_clip_model.safetensors`` and, if the
            configuration names a Hugging Face tokenizer, the tokenizer's files; or a checkpoint.
        title: Title for display.
        words: Attribute to group to the words that describe it, article included: ``"an elderly person"``.
        templates: Sentences with one ``{}`` for the words.
        licence: Licence of the weights.
        origin: Origin of the weights.
        family: Judges of one family have one vote.
        coarser: Coarser attribute to the attribute of ``words`` whose groups are summed.
        gate: A text for a person and a text for anything else; an image nearer to the second shows no person.
        device: Device of the network.

    Raises:
        EvenhandError: The folder or one of its files is missing.
    """

    def __init__(
        self,
        *,
        name: str,
        folder: Path | Checkpoint,
        title: str,
        words: Mapping[str, Mapping[str, Sequence[str]]],
        templates: Sequence[str],
        licence: str,
        origin: str,
        family: str = "clip",
        coarser: Mapping[str, str] | None = None,
        gate: tuple[str, str] | None = None,
        device: str = "cpu",
    ) -> None:
        self._folder = folder
        self._gate = gate
        self._coarser = dict(coarser or {})
        self._words = {attribute: dict(groups) for attribute, groups in words.items()}
        self._templates = tuple(templates)
        self._device = device
        self._embedded_texts: dict[tuple[str, ...], Tensor] = {}
        self.info = JudgeInfo(
            name=name,
            version=folder_version(folder, [self._words, self._templates, *(gate or ())]),
            title=title,
            summary=f"open_clip zero-shot over {len(self._templates)} templates",
            family=family,
            taxonomies={attribute: tuple(groups) for attribute, groups in self._words.items()}
            | {attribute: taxonomies.groups(attribute) for attribute in self._coarser},
            licence=licence,
            origin=origin,
        )

    @property
    def input_side(self) -> int:
        """Side of the network's input."""
        return input_side(self._folder)

    def label(self, images: Images) -> dict[str, Answer]:
        """Answers for every attribute of the words."""
        return self._answers(self._embed_images(images), self._anchors)

    def variants(self, images: Images) -> Variants:
        """``text``: each template by itself, if there are several."""
        if len(self._templates) < 2:
            return {}
        embedded = self._embed_images(images)
        return {
            "text": tuple(
                self._answers(embedded, self._anchors_of([template])) for template in self._templates
            )
        }

    def _answers(self, images: Tensor, anchors: Mapping[str, Tensor]) -> dict[str, Answer]:
        """Answers from the embeddings of ``n`` images and of each attribute's groups."""
        status = self._status(images)
        shares = {name: self._softmax(images, texts) for name, texts in anchors.items()}
        for attribute, fine in self._coarser.items():
            shares[attribute] = taxonomies.regroup(shares[fine], list(self._words[fine]), attribute)
        return {
            name: Answer(np.column_stack([found, np.zeros(len(images))]), status)
            for name, found in shares.items()
        }

    def _status(self, images: Tensor) -> tuple[str, ...]:
        """``no_person`` if the second text of the gate is nearer, else ``ok``."""
        if self._gate is None:
            return ("ok",) * len(images)
        person, other = self._softmax(images, self._embed_texts(self._gate)).T
        return tuple("ok" if one >= two else "no_person" for one, two in zip(person, other, strict=True))

    def zero_shot(self, images: Images, texts: list[str]) -> NDArray[np.float64]:
        """Softmax over ``texts``, used verbatim, ``(n, len(texts))``."""
        return self._softmax(self._embed_images(images), self._embed_texts(texts))

    def logits(self, pixels: Tensor, texts: list[str]) -> Tensor:
        """The logits ``(n, len(texts))`` whose softmax is :meth:`zero_shot`, with gradients."""
        # A copy, because tensors created in inference mode cannot be part of a gradient.
        return self._scaled_features(pixels) @ self._embed_texts(texts).clone().T

    def group_logits(self, pixels: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        """Logits over the groups of every attribute, on whole images, with gradients."""
        features = self._scaled_features(pixels)
        found = {name: features @ anchors.clone().T for name, anchors in self._anchors.items()}
        for attribute, fine in self._coarser.items():
            of = [taxonomies.group_of(label, attribute) for label in self._words[fine]]
            parts = [
                [index for index, group in enumerate(of) if group == wanted]
                for wanted in taxonomies.groups(attribute)
            ]
            found[attribute] = torch.stack([found[fine][:, part].logsumexp(dim=1) for part in parts], dim=1)
        return found, None

    def _scaled_features(self, pixels: Tensor) -> Tensor:
        """Unit vectors of images in ``[-1, 1]`` times the logit scale, ``(n, d)``, with gradients."""
        network, _, _ = self._model
        visual = network.visual
        seen = shown(
            pixels.to(self._device, torch.float32),
            size=visual.image_size[0] if isinstance(visual.image_size, tuple) else visual.image_size,
            mean=visual.image_mean,
            std=visual.image_std,
        )
        found: Tensor = network.logit_scale.exp() * normalize(network.encode_image(seen), dim=-1)
        return found

    @cached_property
    # Loaded outside inference mode even if the caller is in it, because methods need gradients through it.
    @torch.inference_mode(mode=False)
    def _model(
        self,
    ) -> tuple[Any, Any, Any]:
        """Network in single precision, image transform and tokenizer from open_clip."""
        if isinstance(self._folder, Checkpoint):
            source, weights = self._folder.model, self._folder.arguments()
        else:
            source, weights = f"local-dir:{self._folder}", {}
        with loading(Path(weights.get("pretrained", source.removeprefix("local-dir:")))):
            try:
                network, _, transform = open_clip.create_model_and_transforms(
                    source, precision="fp32", device=self._device, weights_only=True, **weights
                )
            except pickle.UnpicklingError as fault:
                raise holds_code(Path(weights.get("pretrained", source))) from fault
            tokenizer = open_clip.get_tokenizer(source)
        return network.eval().requires_grad_(False), transform, tokenizer

    @cached_property
    def _anchors(self) -> dict[str, Tensor]:
        """Attribute to one unit embedding per group, ``(K, d)``."""
        return self._anchors_of(self._templates)

    def _anchors_of(self, templates: Sequence[str]) -> dict[str, Tensor]:
        return {
            attribute: torch.stack([self._anchor(words, templates) for words in groups.values()])
            for attribute, groups in self._words.items()
        }

    def _anchor(self, words: Sequence[str], templates: Sequence[str]) -> Tensor:
        texts = [template.format(word) for word in words for template in templates]
        return normalize(self._embed_texts(texts).mean(dim=0), dim=0)

    def _embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Unit embeddings ``(n, d)``, computed once: a ratio loop asks the same texts in every round."""
        known = self._embedded_texts
        if tuple(texts) not in known:
            known[tuple(texts)] = self._encoded_texts(list(texts))
        return known[tuple(texts)]

    @torch.inference_mode()
    def _encoded_texts(self, texts: list[str]) -> Tensor:
        network, _, tokenizer = self._model
        return normalize(in_batches(network.encode_text, tokenizer(texts).to(self._device)), dim=-1)

    @torch.inference_mode()
    def _embed_images(self, images: Images) -> Tensor:
        network, transform, _ = self._model
        pixels = torch.stack([transform(Image.fromarray(image)) for image in images])
        return normalize(in_batches(network.encode_image, pixels.to(self._device)), dim=-1)

    @torch.inference_mode()
    def _softmax(self, images: Tensor, texts: Tensor) -> NDArray[np.float64]:
        network, _, _ = self._model
        logits = in_batches(lambda batch: network.logit_scale.exp() * batch @ texts.T, images)
        shares: NDArray[np.float64] = logits.double().softmax(dim=1).cpu().numpy()
        return shares


class OpenClip(JudgeRecipe):
    """A CLIP or SigLIP model that chooses between texts of the groups.

    Attributes:
        model: Name of an open_clip architecture, or a folder or hub id with ``open_clip_config.json``.
        pretrained: open_clip's tag of the weights; unused for a folder or hub id.
        weights: A local file with the tag's weights; by default the hub's cache, or a download.
        texts: ``evenhand`` for the texts of this package, or the name of a work whose published gender texts
            are used verbatim: UCE, HEIM, CLEAM, Self-Discovering, Seshadri et al.
        crop: ``face``: the largest face with a margin. ``image``: the whole image, occupation included.
            ``both``: the face, and no label if the whole image gets another label.
        person_gate: Whether an image nearer to "a photo of an object" than to "a photo of a person" shows no
            person, as in ENTIGEN (Bansal et al., arXiv 2210.15230).
    """

    card: ClassVar[RecipeCard] = RecipeCard(
        title="CLIP (open_clip, zero-shot)",
        summary="an open_clip model, zero-shot",
        # SigLIP as well: both are trained on images and texts of the web and share errors.
        family="clip",
        attributes=(*WORDS, *COARSER),
        licence="that of the weights",
        origin="any model of open_clip; Radford et al. 2021, Zhai et al. 2023",
    )

    model: str = "ViT-L-14"
    pretrained: str = "dfn2b"
    weights: str | None = None
    texts: str = "evenhand"
    crop: View = "face"
    person_gate: bool = False

    def sources(self) -> tuple[WeightSource, ...]:
        """The folder, repository, tag or file of the weights."""
        return (weight_source(self.model, self.pretrained, self.weights),)

    def make(self, name: str) -> Judge:
        """The judge, on faces unless ``crop`` says otherwise."""
        source, config, origin = self._source()
        sigmoid = "init_logit_bias" in config
        own = self.texts == "evenhand"
        words: Words = WORDS if own else published(self.texts)
        judge = OpenClipJudge(
            name=name,
            folder=source,
            title=f"{'SigLIP' if sigmoid else 'CLIP'} {origin} (open_clip, zero-shot)",
            words=words,
            templates=("{}",) if not own else SIGLIP_TEMPLATES if sigmoid else TEMPLATES,
            licence=self.card.licence,
            origin=origin,
            family=self.card.family,
            coarser=COARSER if own else None,
            gate=PERSON_GATE if self.person_gate else None,
            device=best_device(),
        )
        return viewed(judge, self.crop)

    def _source(self) -> tuple[Path | Checkpoint, Mapping[str, Any], str]:
        """Location of the weights, configuration of the architecture, and a name for both."""
        if "/" in self.model or Path(self.model).is_dir():
            folder = hub_folder(self.model)
            require(folder, FILES)
            return folder, json.loads((folder / FILES[0]).read_text())["model_cfg"], self.model
        if self.model not in open_clip.list_models():
            raise unknown("open_clip model", self.model, open_clip.list_models())
        return (
            checkpoint(self.model, self.pretrained, file=self.weights),
            open_clip.get_model_config(self.model),
            f"{self.model}, {self.pretrained}",
        )


class OpenAiClip(OpenClip):
    """The CLIP in the released evaluations of UCE, TIME and MIST: OpenAI's ViT-B/32 on the whole image.

    Use it to compare with published numbers. UCE and MIST also use it in their debiasing loops, so it must
    not judge the methods that it steers.
    """

    card: ClassVar[RecipeCard] = OpenClip.card.model_copy(
        update={
            "title": "OpenAI CLIP ViT-B/32 (zero-shot)",
            "summary": "the CLIP in the loops and evaluations of UCE, TIME and MIST, on the whole image",
            "licence": "MIT",
            "origin": "Radford et al. 2021",
        }
    )

    model: str = "ViT-B-32"
    pretrained: str = "openai"
    crop: View = "image"
