"""Targeted attribute prompt: inserts drawn groups for the attributes that a prompt leaves open.

FairT2I (arXiv 2502.03826) writes the score of a prompt ``y`` as a mixture over a latent attribute ``z``,

    grad log p(x | y) = sum_z p(z | x, y) grad log p(x | z, y),

replaces the model's own distribution of ``z`` by a chosen one, draws ``z ~ p*(z)``, and generates with ``z``
written into the prompt. Here ``z`` is a joint cell, ``p*`` is the target's row of the concept, and the groups
``s`` that a prompt already states condition the draw:

    z ~ p*(z | s),    p*(z | s) proportional to p*(z) [z agrees with s]

Only the attributes that the prompt does not state are inserted: "a female nurse" may become "an elderly
dark-skinned female nurse", with tone and age drawn from the target among women, and "an elderly dark-skinned
female nurse" stays unchanged. If ``p*`` gives the stated groups no weight, they stay and the rest is drawn
from ``p*`` as if nothing were stated.

FairT2I has a language model propose the attributes; here they are those of the suite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import Field

from evenhand.methods.base import Intervention, Method, MethodInfo, Task
from evenhand.methods.shared.prompt_text import first_phrase
from evenhand.methods.shared.stated_groups import (
    SYNONYMS,
    completed,
    conditional,
    ordered_adjectives,
    stated_groups,
    stating_phrases,
)


@dataclass(frozen=True, eq=False)
class TargetedAttributePromptIntervention(Intervention):
    """Inserts the drawn cell's words for every attribute that a prompt does not state.

    ``data``: ``target`` (concept to shares of the cells), ``groups`` (of every cell: attribute to group),
    ``adjectives`` (of every cell: attribute to words, in the order in which they precede a noun), ``stating``
    (attribute to group to the phrases that state it).
    """

    def prompt(self, text: str, draw: np.random.Generator) -> str:
        """The completed prompt; unchanged without a concept or if it states every attribute."""
        concept = first_phrase(text, tuple(self.data["target"]))
        stated = stated_groups(text, self.data["stating"])
        if concept is None or not (left_open := self.mitigated(concept[0]) - stated.keys()):
            return text
        shares = conditional(self.data["target"][concept[0]], self.data["groups"], stated)
        adjectives = self.data["adjectives"][draw.choice(len(shares), p=shares)]
        return completed(text, concept.start(), adjectives, left_open, self.data["stating"])

    def mitigated(self, concept: str) -> set[str]:
        """The attributes that may be inserted before a concept: all of them."""
        return {*self.data["stating"]}


class TargetedAttributePrompt(Method):
    """Completes every prompt that mentions a concept with the attributes it leaves open.

    Attributes:
        synonyms: Group to words that state it in a prompt, in addition to the words of the cells.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="targeted-attribute-prompt",
        version="1.0",
        title="Targeted attribute prompt",
        summary="Inserts a drawn group for each attribute that the prompt leaves open.",
        paper="https://arxiv.org/abs/2502.03826",
        licence="Apache-2.0",
        origin="FairT2I; implemented from the paper's formula",
        family="prompt",
        ours=True,
        architectures=("any",),
        attributes="any that words can express, alone or as joint cells",
    )
    intervention_type: ClassVar[type[Intervention]] = TargetedAttributePromptIntervention

    synonyms: dict[str, tuple[str, ...]] = Field(default=SYNONYMS)

    def fit(self, task: Task) -> Intervention:
        """Store the words and the target; no image is generated or judged."""
        return TargetedAttributePromptIntervention(
            data={
                "target": dict(zip(task.concepts, task.target.tolist(), strict=True)),
                "groups": [dict(cell.groups) for cell in task.cells],
                "adjectives": [ordered_adjectives(cell) for cell in task.cells],
                "stating": stating_phrases(task.cells, self.synonyms),
            }
        )
