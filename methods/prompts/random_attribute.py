"""Random attribute prompt: inserts the words of a randomly drawn cell into the prompt.

"a photo of a nurse" becomes, for instance, "a photo of an elderly dark-skinned female nurse". The cell is
drawn from the target with the random stream of the image, so the shares are met as far as the model complies
with the prompt, at no cost. It is the simplest reference method; FairImagen (arXiv 2510.21363) reports it as
an upper bound. The added words bring their own context. If a prompt already states an attribute, a second
group of it is inserted; the method ``targeted-attribute-prompt`` avoids this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evenhand.methods.base import Intervention, Method, MethodInfo, Task
from evenhand.methods.shared.prompt_text import before, first_phrase


@dataclass(frozen=True, eq=False)
class RandomAttributePromptIntervention(Intervention):
    """Inserts the adjective of a drawn cell before the concept."""

    def prompt(self, text: str, draw: np.random.Generator) -> str:
        """The prompt with a drawn cell's adjective before its first concept, if it has one."""
        match = first_phrase(text, self.data["concepts"])
        if match is None:
            return text
        target = self.data["target"][match[0]]
        adjective = self.data["adjectives"][draw.choice(len(target), p=target)]
        return f"{before(text[: match.start()], adjective)}{adjective} {text[match.start() :]}"


class RandomAttributePrompt(Method):
    """Inserts a random cell into every prompt that mentions a concept."""

    info: ClassVar[MethodInfo] = MethodInfo(
        name="random-attribute-prompt",
        version="1.0",
        title="Random attribute prompt",
        summary="Inserts the words of a randomly drawn cell before the concept in the prompt.",
        licence="Apache-2.0",
        origin="common practice; written for Evenhand",
        family="prompt",
        architectures=("any",),
        attributes="any that words can express, alone or as joint cells",
    )
    intervention_type: ClassVar[type[Intervention]] = RandomAttributePromptIntervention

    def fit(self, task: Task) -> Intervention:
        """Store concepts, adjectives and target; no image is generated or judged."""
        return RandomAttributePromptIntervention(
            data={
                "concepts": list(task.concepts),
                "adjectives": [cell.adjective for cell in task.cells],
                "target": dict(zip(task.concepts, task.target.tolist(), strict=True)),
            }
        )
