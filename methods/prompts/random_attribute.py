"""Random attribute prompt: name a randomly drawn cell in the prompt itself.

"a photo of a nurse" becomes, for instance, "a photo of an elderly dark-skinned female nurse". The cell is
drawn from the target with the image's own stream, so the shares are met exactly as far as the generator
obeys, at no cost. It is the simplest baseline, and a benchmark without it cannot say what the others are
worth (FairImagen, arXiv 2510.21363, gives it as an upper bound). It adds the context that the added words
bring with them. Into a prompt that already names an attribute it inserts a second one: the method
``targeted-attribute-prompt`` does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evenhand.methods.base import Intervention, Method, MethodInfo, Task
from evenhand.methods.shared.prompt_text import before, first_phrase


@dataclass(frozen=True, eq=False)
class RandomAttributePromptIntervention(Intervention):
    """Inserts the adjective of a drawn cell before the concept; ``data`` holds all it needs."""

    def prompt(self, text: str, draw: np.random.Generator) -> str:
        """The text with a drawn cell's adjective before its first concept; without a concept, the text."""
        match = first_phrase(text, self.data["concepts"])
        if match is None:
            return text
        target = self.data["target"][match[0]]
        adjective = self.data["adjectives"][draw.choice(len(target), p=target)]
        return f"{before(text[: match.start()], adjective)}{adjective} {text[match.start() :]}"


class RandomAttributePrompt(Method):
    """Names a random cell in every prompt that contains a concept."""

    info: ClassVar[MethodInfo] = MethodInfo(
        name="random-attribute-prompt",
        version="1.0",
        title="Random attribute prompt",
        summary="Inserts the words of a randomly drawn cell before the concept in the prompt.",
        licence="Apache-2.0",
        origin="common practice; written for Evenhand",
        family="prompt",
        architectures=("any",),
        attributes="any that can be said in words, alone or as joint cells",
    )
    intervention_type: ClassVar[type[Intervention]] = RandomAttributePromptIntervention

    def fit(self, task: Task) -> Intervention:
        """WorkerHandle over the concepts, adjectives and target; nothing is drawn or judged."""
        return RandomAttributePromptIntervention(
            data={
                "concepts": list(task.concepts),
                "adjectives": [cell.adjective for cell in task.cells],
                "target": dict(zip(task.concepts, task.target.tolist(), strict=True)),
            }
        )
