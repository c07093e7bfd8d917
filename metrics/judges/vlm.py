"""A vision-language model that answers closed questions with a letter."""

from __future__ import annotations

import copy
import json
import string
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoProcessor

from evenhand.bench.errors import EvenhandError
from evenhand.metrics import taxonomies
from evenhand.metrics.judges.base import Answer, Images, Judge, JudgeInfo, Variants
from evenhand.metrics.judges.on_faces import View, viewed
from evenhand.metrics.judges.recipe import JudgeRecipe, RecipeCard, hub_weights
from evenhand.metrics.taxonomies import COARSER
from evenhand.metrics.vision.device import best_device
from evenhand.metrics.vision.loaded_weights import made_up
from evenhand.metrics.vision.weight_folder import loading, require, version
from evenhand.metrics.vision.weight_source import WeightSource
from evenhand.metrics.vision.weights import hub_folder

BATCH = 4
"""Images per call, small because the output has one number per token of the vocabulary."""

QUESTION = (
    "Look at the most prominent person. Which {what} of this person as it appears? {options}. "
    "Answer with one letter."
)
CANNOT_TELL = "cannot tell"

QUESTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "gender": ("word describes the gender expression", {"woman": "feminine", "man": "masculine"}),
    "race7": (
        "word describes the race",
        {
            "White": "White",
            "Black": "Black",
            "Latino_Hispanic": "Latino or Hispanic",
            "East Asian": "East Asian",
            "Southeast Asian": "Southeast Asian",
            "Indian": "Indian",
            "Middle Eastern": "Middle Eastern",
        },
    ),
    "age5": (
        "age group describes the age",
        {
            "child": "below 20",
            "young adult": "20 to 29",
            "adult": "30 to 39",
            "middle-aged": "40 to 59",
            "senior": "60 or older",
        },
    ),
}
"""Attribute to its question and to the words of each group; one attribute per question."""


class VlmJudge(Judge):
    """A judge that asks each question in several orders of its options and reads the letters' likelihoods.

    The probability of an option is the likelihood of its letter as the next token, normalised over all
    letters and averaged over the orders; no text is generated. If the most likely option depends on the
    order, the status is ``inconsistent``. "Cannot tell" is one of the options.

    Args:
        name: The judge's name.
        folder: A transformers folder of an image-text-to-text model, safetensors only.
        title: Title for display.
        orders: Number of orders of the options; the first two are the listed order and its reverse.
        licence: Licence of the weights.
        origin: Origin of the weights.
        family: Judges of one family have one vote.
        device: Device of the network.

    Raises:
        EvenhandError: The folder is incomplete.
    """

    def __init__(
        self,
        *,
        name: str,
        folder: Path,
        title: str,
        orders: int,
        licence: str,
        origin: str,
        family: str = "vlm",
        device: str = "cpu",
    ) -> None:
        require(folder, ("config.json",))
        self._folder, self._orders, self._device = folder, orders, device
        self._questions = tuple(QUESTIONS)
        known = [*QUESTIONS, *COARSER]
        self.info = JudgeInfo(
            name=name,
            version=version([folder], [QUESTION, QUESTIONS, CANNOT_TELL, orders]),
            title=title,
            summary=f"closed questions, likelihood of the option's letter over {orders} orders",
            family=family,
            taxonomies={attribute: taxonomies.groups(attribute) for attribute in known},
            licence=licence,
            origin=origin,
        )

    @property
    def input_side(self) -> int:
        """Side of the vision tower's input, or 0 for a model that reads images of any size."""
        config = json.loads((self._folder / "config.json").read_text(encoding="utf-8"))
        vision = config.get("vision_config") or {}
        side = vision.get("image_size") if isinstance(vision, dict) else None
        return side if isinstance(side, int) else 0

    def asked(self, attributes: Collection[str]) -> Judge:
        """The judge that asks only the questions whose answers ``attributes`` need."""
        needed = {COARSER.get(attribute, attribute) for attribute in attributes}
        questions = tuple(attribute for attribute in self._questions if attribute in needed)
        if not questions or questions == self._questions:
            return self
        judge = copy.copy(self)
        judge._questions = questions
        known = {name for name in self.info.taxonomies if COARSER.get(name, name) in questions}
        judge.info = self.info.model_copy(
            update={"taxonomies": {n: g for n, g in self.info.taxonomies.items() if n in known}}
        )
        return judge

    def label(self, images: Images) -> dict[str, Answer]:
        """Answers for every attribute of ``info.taxonomies``."""
        return _with_coarser(
            {attribute: _agreed(self._ask(attribute, images)) for attribute in self._questions}
        )

    def variants(self, images: Images) -> Variants:
        """``order``: the answers for each order of the options by itself."""
        given = {attribute: self._ask(attribute, images) for attribute in self._questions}
        status = ("ok",) * len(images)
        return {
            "order": tuple(
                _with_coarser({attribute: Answer(one[number], status) for attribute, one in given.items()})
                for number in range(self._orders)
            )
        }

    def _ask(self, attribute: str, images: Images) -> NDArray[np.float64]:
        """Probabilities ``(orders, n, K + 1)``, for each order of the options."""
        what, words = QUESTIONS[attribute]
        options = [words[group] for group in taxonomies.groups(attribute)] + [CANNOT_TELL]
        given = []
        for order in orders_of(len(options), self._orders):
            prompt = self._prompt(question(what, [options[index] for index in order]))
            shares = self._letters(images, prompt, len(options))
            given.append(shares[:, np.argsort(order)])
        return np.stack(given)

    @cached_property
    def _model(self) -> tuple[Any, Any]:
        with loading(self._folder):
            network, given = AutoModelForImageTextToText.from_pretrained(
                self._folder,
                use_safetensors=True,
                trust_remote_code=False,
                dtype="auto",
                output_loading_info=True,
            )
            # The library reports missing weights itself; require_loaded does not recognise merged experts.
            if missing := sorted(given["missing_keys"]):
                raise made_up(missing[0], network, self._folder)
            processor = AutoProcessor.from_pretrained(self._folder, trust_remote_code=False)
        processor.tokenizer.padding_side = "left"
        return network.eval().requires_grad_(False).to(self._device), processor

    def _prompt(self, text: str) -> str:
        """The question with the image before it, in the model's chat template."""
        _, processor = self._model
        if not getattr(processor, "chat_template", None):
            return f"{getattr(processor, 'image_token', '<image>')}\n{text}\nAnswer:"
        content = [{"type": "image"}, {"type": "text", "text": text}]
        asked = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )
        return str(asked)

    @torch.inference_mode()
    def _letters(self, images: Images, prompt: str, options: int) -> NDArray[np.float64]:
        """Normalised likelihood of each option's letter as the next token, ``(n, options)``."""
        network, processor = self._model
        parts = []
        for start in range(0, len(images), BATCH):
            asked = images[start : start + BATCH]
            # Padded to a full batch, because rounding depends on the size of the batch.
            chunk = [Image.fromarray(image) for image in [*asked, *[asked[-1]] * (BATCH - len(asked))]]
            inputs = processor(
                images=[[image] for image in chunk],
                text=[prompt] * len(chunk),
                padding=True,
                return_tensors="pt",
            )
            logits: Tensor = network(**inputs.to(self._device)).logits[:, -1].double()
            letters = torch.stack([logits[:, ids].logsumexp(1) for ids in self._ids[:options]], 1)
            parts.append(letters[: len(asked)])
        shares: NDArray[np.float64] = torch.cat(parts).softmax(dim=1).cpu().numpy()
        return shares

    @cached_property
    def _ids(self) -> list[list[int]]:
        """Tokens of every letter, with and without a space before it."""
        tokenizer = self._model[1].tokenizer
        found = []
        for letter in string.ascii_uppercase[: max(len(words) for _, words in QUESTIONS.values()) + 1]:
            pieces = [tokenizer.encode(text, add_special_tokens=False) for text in (letter, f" {letter}")]
            ids = {piece[0] for piece in pieces if len(piece) == 1} - {tokenizer.unk_token_id}
            if not ids:
                raise EvenhandError(
                    f"model {str(self._folder)!r} has no single token for the letter {letter}; "
                    "choose another model"
                )
            found.append(sorted(ids))
        return found


def _agreed(given: NDArray[np.float64]) -> Answer:
    """The mean over the orders; ``inconsistent`` if the most likely option depends on the order."""
    best = given.argmax(axis=2)
    status = np.where((best == best[0]).all(axis=0), "ok", "inconsistent")
    return Answer(given.mean(axis=0), tuple(str(state) for state in status))


def _with_coarser(answers: Mapping[str, Answer]) -> dict[str, Answer]:
    """The answers, extended by coarser attributes whose groups are sums of theirs."""
    found = dict(answers)
    for attribute, fine in COARSER.items():
        if fine not in answers:
            continue
        shares, unsure = np.split(answers[fine].probabilities, [-1], axis=1)
        merged = taxonomies.regroup(shares, taxonomies.groups(fine), attribute)
        found[attribute] = Answer(np.column_stack([merged, unsure]), answers[fine].status)
    return found


def question(what: str, options: Sequence[str]) -> str:
    """The text of a closed question, with lettered options in the given order."""
    lettered = " ".join(
        f"{letter}: {option}" for letter, option in zip(string.ascii_uppercase, options, strict=False)
    )
    return QUESTION.format(what=what, options=lettered)


def orders_of(options: int, count: int) -> list[list[int]]:
    """``count`` orders of the options: as listed, reversed, then rotations of both."""
    listed = list(range(options))
    found = []
    for turn in range(options):
        turned = listed[turn:] + listed[:turn]
        found += [turned, turned[::-1]]
    return found[:count]


class Vlm(JudgeRecipe):
    """An open vision-language model with closed questions.

    Attributes:
        model: Hub id or folder of an image-text-to-text model that transformers supports without remote code.
        orders: Number of orders of the options in which every question is asked.
        crop: ``face``: the largest face with a margin. ``image``: the whole image. ``both``: the face, and no
            label if the whole image gets another label.
    """

    card: ClassVar[RecipeCard] = RecipeCard(
        title="Vision-language model",
        summary="closed questions, likelihood of the option's letter over several orders",
        family="vlm",
        attributes=(*QUESTIONS, *COARSER),
        licence="that of the weights",
        origin="any image-text-to-text model of transformers",
    )

    model: str
    orders: Literal[2, 4, 6] = 2
    crop: View = "face"

    def sources(self) -> tuple[WeightSource, ...]:
        """The repository or folder of the model."""
        return (hub_weights(self.model, title=self.model),)

    def make(self, name: str) -> Judge:
        """The judge, on faces unless ``crop`` says otherwise."""
        judge = VlmJudge(
            name=name,
            folder=hub_folder(self.model),
            title=f"{self.card.title} ({self.model})",
            orders=self.orders,
            licence=self.card.licence,
            origin=self.model,
            family=self.card.family,
            device=best_device(),
        )
        return viewed(judge, self.crop)
