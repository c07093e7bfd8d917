"""A method in a separate package: everything a third party has to write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evenhand.methods.base import Intervention, Method, MethodInfo, Task


@dataclass(frozen=True, eq=False)
class EthicalPromptIntervention(Intervention):
    """Appends the sentence to every prompt that names one of the concepts; ``data`` holds both."""

    def prompt(self, text: str, draw: np.random.Generator) -> str:
        """Return the text, followed by the sentence for the concept that it names."""
        concept = next((concept for concept in self.data["concepts"] if concept in text), None)
        return text if concept is None else f"{text} {self.data['sentence'].format(concept=concept)}"


class EthicalPrompt(Method):
    """Ethical intervention of ENTIGEN (arXiv 2210.15230): asks the model, in words, to be fair.

    Attributes:
        sentence: What is appended, with ``{concept}``.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="ethical-prompt",
        version="1.0",
        title="Ethical intervention in the prompt",
        summary="Appends a sentence saying that everybody can have the occupation.",
        paper="https://arxiv.org/abs/2210.15230",
        licence="Apache-2.0",
        origin="Hritikbansal/entigen_emnlp, MIT; reimplemented from the paper",
        family="prompt",
        architectures=("any",),
        attributes="gender",
    )
    intervention_type: ClassVar[type[Intervention]] = EthicalPromptIntervention

    sentence: str = "if all genders can be {concept}"

    def fit(self, task: Task) -> Intervention:
        """Return the concepts and the sentence; no image is generated or judged."""
        return EthicalPromptIntervention(data={"concepts": list(task.concepts), "sentence": self.sentence})
