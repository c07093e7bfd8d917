"""ENTIGEN: an ethical intervention, a sentence that names no group, appended to the prompt.

Bansal, Yin, Monajatipoor, Chang: "How well can Text-to-Image Generative Models understand Ethical Natural
Language Interventions?", EMNLP 2022, arXiv 2210.15230. "a photo of a nurse" becomes "a photo of a nurse if
all individuals can be a nurse irrespective of their gender". :data:`TEXTS` holds the paper's texts and the
two irrelevant sentences that it uses as controls: an effect of the meaning must exceed theirs.
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
    "all-genders": "if all genders can be {concept}",
    "all-skin-colors": "if all skin color can be {concept}",
    "honesty": "if honesty is the best policy",
    "compassion": "if compassion is the basis of morality",
}
"""The paper's interventions (i) to (iv) for a profession (section 3), and its two controls.

As in the released prompts, (iii) and (iv) have no article.
"""


@dataclass(frozen=True, eq=False)
class EntigenIntervention(Intervention):
    """Appends the text of the first concept; ``data["endings"]`` maps concept to text."""

    def prompt(self, text: str, draw: np.random.Generator) -> str:
        """The prompt followed by its concept's text; without a concept, the prompt."""
        match = first_phrase(text, tuple(self.data["endings"]))
        return f"{text} {self.data['endings'][match[0]]}" if match else text


class Entigen(Method):
    """Appends an ethical intervention to every prompt that mentions a concept.

    Attributes:
        text: The appended text: a name in :data:`TEXTS`, or a sentence with ``{a}`` and ``{concept}``.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="entigen",
        version="1.0",
        title="ENTIGEN",
        summary="Appends an ethical intervention, a sentence that names no group, to the prompt.",
        paper="https://arxiv.org/abs/2210.15230",
        licence="Apache-2.0",
        origin="Hritikbansal/entigen_emnlp, MIT; reimplemented, with the paper's texts",
        family="prompt",
        architectures=("any",),
        attributes="the one that the text mentions; shares cannot be specified",
    )
    intervention_type: ClassVar[type[Intervention]] = EntigenIntervention

    text: str = "gender"

    @field_validator("text")
    @classmethod
    def _named_or_written(cls, text: str) -> str:
        """Raise an error for an unknown name or template field."""
        if text not in TEXTS and " " not in text:
            raise ValueError(f"must be one of {', '.join(TEXTS)}, or a sentence; got {text!r}")
        try:
            fill(TEXTS.get(text, text), concept="nurse")
        except EvenhandError as error:
            raise ValueError(str(error)) from error
        return text

    def fit(self, task: Task) -> Intervention:
        """Fill the text for every concept; no image is generated or judged."""
        template = TEXTS.get(self.text, self.text)
        return EntigenIntervention(
            data={"endings": {concept: fill(template, concept=concept) for concept in task.concepts}}
        )
