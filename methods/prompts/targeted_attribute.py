r"""Targeted attribute prompt: complete what a prompt leaves open, and leave alone what it states.

FairT2I (arXiv 2502.03826) writes the score of a prompt ``y`` as a mixture over a latent attribute ``z``,

    grad log p(x | y) = sum_z p(z | x, y) grad log p(x | z, y),

replaces the model's own law of ``z`` by a chosen one, draws ``z ~ p*(z)``, and generates with ``z`` written
into the prompt. Here ``z`` is a joint cell, ``p*`` is the target's row of the concept, and a prompt that
already states groups ``s`` conditions it:

    z ~ p*(z | s),    p*(z | s) proportional to p*(z) [z agrees with s]

Only the attributes that the prompt does not state are written: "a female nurse" may become "an elderly
dark-skinned female nurse", with tone and age drawn as the target has them among women, and "an elderly
dark-skinned female nurse" stays as it is. Where ``p*`` gives no weight to what is stated, the prompt still
holds, and the rest is drawn from ``p*`` as if nothing were stated.

FairT2I lets a language model propose the attributes; here they are those of the suite.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import Field

from evenhand.methods.base import Cell, Intervention, Method, MethodInfo, Task
from evenhand.methods.shared.prompt_text import before, first_phrase
from evenhand.methods.shared.stated_groups import (
    SYNONYMS,
    Words,
    conditional,
    stated_groups,
    stating_phrases,
)

_DETERMINERS = {"her", "his"}
"""They state a group, but no adjective may stand before them."""


@dataclass(frozen=True, eq=False)
class TargetedAttributePromptIntervention(Intervention):
    """Writes the drawn cell's words for every attribute that a prompt does not state.

    ``data``: ``target`` (concept to shares of the cells), ``groups`` (of every cell: attribute to group),
    ``adjectives`` (of every cell: attribute to words, in the order in which they stand before a noun),
    ``stating`` (attribute to group to the phrases that state it).
    """

    def prompt(self, text: str, draw: np.random.Generator) -> str:
        """The completed text; as it is without a concept, or where it states every attribute."""
        concept = first_phrase(text, tuple(self.data["target"]))
        stated = stated_groups(text, self.data["stating"])
        if concept is None or len(stated) == len(self.data["stating"]):
            return text
        shares = conditional(self.data["target"][concept[0]], self.data["groups"], stated)
        adjectives = self.data["adjectives"][draw.choice(len(shares), p=shares)]
        start, placed = _adjectives_before(text, concept.start(), self.data["stating"])
        order = list(adjectives)
        for attribute in (attribute for attribute in order if attribute not in stated):
            later = [order.index(other) > order.index(attribute) for other, _ in placed]
            placed.insert([*later, True].index(True), (attribute, adjectives[attribute]))
        words = " ".join(phrase for _, phrase in placed)
        return f"{before(text[:start], words)}{words} {text[concept.start() :]}"


class TargetedAttributePrompt(Method):
    """Completes every prompt that mentions a concept by the attributes that it leaves open.

    Attributes:
        synonyms: Group to words that state it in a prompt, besides the words of the cells.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="targeted-attribute-prompt",
        version="1.0",
        title="Targeted attribute prompt",
        summary="Names a drawn group for each attribute that the prompt leaves open, and for no other.",
        paper="https://arxiv.org/abs/2502.03826",
        licence="Apache-2.0",
        origin="mixture view of FairT2I; written from the paper's formula",
        family="prompt",
        architectures=("any",),
        attributes="any that can be said in words, alone or as joint cells",
    )
    intervention_type: ClassVar[type[Intervention]] = TargetedAttributePromptIntervention

    synonyms: dict[str, tuple[str, ...]] = Field(default=SYNONYMS)

    def fit(self, task: Task) -> Intervention:
        """WorkerHandle over the words and the target; nothing is drawn or judged."""
        return TargetedAttributePromptIntervention(
            data={
                "target": dict(zip(task.concepts, task.target.tolist(), strict=True)),
                "groups": [dict(cell.groups) for cell in task.cells],
                "adjectives": [_in_order(cell) for cell in task.cells],
                "stating": stating_phrases(task.cells, self.synonyms),
            }
        )


def _in_order(cell: Cell) -> dict[str, str]:
    """Attribute to adjective, in the order in which the cell's own phrase has them."""
    place = {name: cell.adjective.split().index(words.split()[0]) for name, words in cell.adjectives.items()}
    return {name: cell.adjectives[name] for name in sorted(place, key=place.__getitem__)}


def _adjectives_before(text: str, noun: int, stating: Words) -> tuple[int, list[tuple[str, str]]]:
    """Where the run of stated adjectives right before position ``noun`` starts, and (attribute, phrase)."""
    attribute_of = {
        phrase.lower(): attribute
        for attribute, groups in stating.items()
        for phrases in groups.values()
        for phrase in phrases
        if phrase not in _DETERMINERS
    }
    last = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, attribute_of))})\s+$", re.IGNORECASE)
    run: list[tuple[str, str]] = []
    while match := last.search(text[:noun]):
        run.insert(0, (attribute_of[match[1].lower()], match[1]))
        noun = match.start()
    return noun, run
