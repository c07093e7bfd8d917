"""A method in a package of its own: the whole of what a third party writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evenhand.methods.base import Intervention, Method, MethodInfo, Task


@dataclass(frozen=True, eq=False)
class EthicalPromptIntervention(Intervention):
    """Appends the sentence to every prompt that names one of the concepts; ``data`` holds both."""

    def prompt(self, text: str, draw: np.random.Generator) -> str:
        """The text and, for the concept that it names, the sentence."""
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
        origin="Hritikbansal/entigen_emnlp, MIT; written anew from the paper",
        family="prompt",
        architectures=("any",),
        attributes="gender",
    )
    intervention_type: ClassVar[type[Intervention]] = EthicalPromptIntervention

    sentence: str = "if all genders can be {concept}"

    def fit(self, task: Task) -> Intervention:
        """WorkerHandle over the concepts and the sentence; nothing is drawn or judged."""
        return EthicalPromptIntervention(data={"concepts": list(task.concepts), "sentence": self.sentence})
