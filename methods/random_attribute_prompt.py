"""Random attribute prompt: name a randomly drawn cell in the prompt itself.

"a photo of a nurse" becomes, for instance, "a photo of an elderly dark-skinned female nurse". The cell is
drawn from the target with the picture's own stream, so the shares are met exactly as far as the generator
obeys, at no cost. It is the simplest baseline, and a benchmark without it cannot say what the others are
worth (FairImagen, arXiv 2510.21363, gives it as an upper bound). It adds the context that the added words
bring with them, and says nothing of prompts that already name an attribute, into which the plain version
inserts a second one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evenhand.methods.base import Intervention, Method, MethodInfo, Task
from evenhand.methods.phrases import article, attribute_words, first_phrase


@dataclass(frozen=True, eq=False)
class RandomAttributePromptIntervention(Intervention):
    """Inserts the adjective of a drawn cell before the concept; ``data`` holds all it needs."""

    def prompt(self, text: str, draw: np.random.Generator) -> str:
        """The text with a drawn cell's adjective before its first concept; without a concept, the text."""
        match = first_phrase(text, self.data["concepts"])
        if match is None or first_phrase(text, self.data["stated_words"], any_case=True):
            return text
        target = self.data["target"][match[0]]
        adjective = self.data["adjectives"][draw.choice(len(target), p=target)]
        before = _with_article(text[: match.start()], adjective)
        return f"{before}{adjective} {text[match.start() :]}"


class RandomAttributePrompt(Method):
    """Names a random cell in every prompt that contains a concept.

    Attributes:
        respect_stated: Whether prompts that already state an attribute word of any cell are left alone;
            function words and ``person`` do not count.
    """

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

    respect_stated: bool = False

    def fit(self, task: Task) -> Intervention:
        """Hand over the concepts, adjectives and target; nothing is drawn or judged."""
        return RandomAttributePromptIntervention(
            data={
                "concepts": list(task.concepts),
                "adjectives": [cell.adjective for cell in task.cells],
                "target": dict(zip(task.concepts, task.target.tolist(), strict=True)),
                "stated_words": list(attribute_words(task.cells)) if self.respect_stated else [],
            }
        )


def _with_article(before: str, word: str) -> str:
    """The text before ``word``, its closing article, if it ends in one, made to agree with ``word``."""

    def agree(match: re.Match[str]) -> str:
        agreed = article(word)
        return f"{agreed.capitalize() if match[1][0] == 'A' else agreed}{match[2]}"

    return re.sub(r"\b(an?)(\s+)$", agree, before, flags=re.IGNORECASE)
