"""ENTIGEN: an ethical intervention, in words, at the end of the prompt.

Bansal, Yin, Monajatipoor, Chang: "How well can Text-to-Image Generative Models understand Ethical Natural
Language Interventions?", EMNLP 2022, arXiv 2210.15230. "a photo of a nurse" becomes "a photo of a nurse if
all individuals can be a nurse irrespective of their gender". No attribute is named: the model is told what
is true of the world and is left to draw it. The paper's texts are in :data:`TEXTS`, with the two irrelevant
sentences that it uses as controls: a method whose effect is its meaning must beat them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import field_validator

from evenhand.bench.errors import EvenhandError
from evenhand.methods.base import Intervention, Method, MethodInfo, Task
from evenhand.methods.shared.prompt_text import fill, first_phrase

TEXTS = {
    "gender": "if all individuals can be {a} {concept} irrespective of their gender",
    "skin-color": "if all individuals can be {a} {concept} irrespective of their skin color",
    "all-genders": "if all genders can be {a} {concept}",
    "all-skin-colors": "if all skin color can be {a} {concept}",
    "honesty": "if honesty is the best policy",
    "compassion": "if compassion is the basis of morality",
}
"""The paper's interventions (i) to (iv) of section 3 for a profession, and its two controls."""


@dataclass(frozen=True, eq=False)
class EntigenIntervention(Intervention):
    """Appends the text of the first concept; ``data["endings"]`` maps concept to text."""

    def prompt(self, text: str, draw: np.random.Generator) -> str:
        """The text with its concept's intervention at the end; without a concept, the text."""
        match = first_phrase(text, tuple(self.data["endings"]))
        return f"{text} {self.data['endings'][match[0]]}" if match else text


class Entigen(Method):
    """Appends an ethical intervention to every prompt that mentions a concept.

    Attributes:
        text: What is appended: a name in :data:`TEXTS`, or a text of its own, with ``{a}`` and ``{concept}``.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="entigen",
        version="1.0",
        title="ENTIGEN",
        summary="Appends an ethical intervention, a sentence that names no group, to the prompt.",
        paper="https://arxiv.org/abs/2210.15230",
        licence="Apache-2.0",
        origin="Hritikbansal/entigen_emnlp, MIT; written anew, with the paper's texts",
        family="prompt",
        architectures=("any",),
        attributes="the one that the text speaks of; no shares can be asked for",
    )
    intervention_type: ClassVar[type[Intervention]] = EntigenIntervention

    text: str = "gender"

    @field_validator("text")
    @classmethod
    def _named_or_written(cls, text: str) -> str:
        """Refuse a misspelt name; fill the template once, so that a wrong field shows at once."""
        if text not in TEXTS and " " not in text:
            raise ValueError(f"no text has this name; choose one of {', '.join(TEXTS)}, or write a sentence")
        try:
            fill(TEXTS.get(text, text), concept="nurse")
        except EvenhandError as error:
            raise ValueError(str(error)) from error
        return text

    def fit(self, task: Task) -> Intervention:
        """Write out the text for every concept; nothing is drawn or judged."""
        template = TEXTS.get(self.text, self.text)
        return EntigenIntervention(
            data={"endings": {concept: fill(template, concept=concept) for concept in task.concepts}}
        )
