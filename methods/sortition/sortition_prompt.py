"""Sortition by prompt: a cell drawn for every image, stated in the prompt, with searched sampling weights.

The form of Sortition for models whose text states it cannot edit: it needs only prompts, and so works with
every model. It combines the completion of a prompt ``y`` of the targeted attribute prompt with the sampling
weights of Sortition. With ``s`` the groups that the prompt already states, a cell is drawn and its groups of
all other attributes are inserted before the concept,

    z ~ p(z | s),    p(z | s) proportional to p(z) [z agrees with s]

A model does not always draw the group that a prompt states, and stating one attribute moves others. The
sampling weights ``p`` are therefore not the target: images of explicit prompts calibrate the steering judge,
images of completed prompts show what every drawn cell becomes, and ``p`` is solved so that the *depicted*
shares meet the target (:mod:`evenhand.methods.sortition._compliance`). A sequential test ends the search.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from evenhand.methods.base import Intervention, MethodInfo, Task
from evenhand.methods.shared.prompt_text import first_phrase
from evenhand.methods.shared.stated_groups import (
    SYNONYMS,
    completed,
    conditional,
    ordered_adjectives,
    stated_groups,
    stating_phrases,
)
from evenhand.methods.sortition._weight_search import SearchingMethod, WeightSearch
from evenhand.methods.space import Range, Space


@dataclass(frozen=True, eq=False)
class SortitionPromptIntervention(Intervention):
    """Inserts the drawn cell's words for every attribute that a prompt does not state.

    ``data``: ``lots`` (concept to sampling weights of the cells), ``groups`` (of every cell: attribute to
    group), ``adjectives`` (of every cell: attribute to words, in the order in which they precede a noun),
    ``stating`` (attribute to group to the phrases that state it).
    """

    def prompt(self, text: str, draw: np.random.Generator) -> str:
        """The completed prompt; unchanged without a concept or if it states every attribute."""
        concept = first_phrase(text, tuple(self.data["lots"]))
        stated = stated_groups(text, self.data["stating"])
        left_open = self.data["stating"].keys() - stated.keys()
        if concept is None or not left_open:
            return text
        p = conditional(self.data["lots"][concept[0]], self.data["groups"], stated)
        adjectives = self.data["adjectives"][draw.choice(len(p), p=p)]
        return completed(text, concept.start(), adjectives, left_open, self.data["stating"])


class SortitionPrompt(SearchingMethod):
    """Sortition that completes prompts, with the search of :class:`SearchingMethod`."""

    info: ClassVar[MethodInfo] = MethodInfo(
        name="sortition-prompt",
        version="1.0",
        title="Sortition by prompt",
        summary="Draws a cell and states it in the prompt; the weights correct what the model does with it.",
        licence="Apache-2.0",
        origin="written for Evenhand",
        family="prompt",
        ours=True,
        architectures=("any",),
        attributes="any that words can express, alone or as joint cells",
    )
    intervention_type: ClassVar[type[Intervention]] = SortitionPromptIntervention

    @classmethod
    def space(cls) -> Space:
        """How far the search trusts few images, and when it ends."""
        return {
            "shrink": Range(low=2.0, high=100.0, log=True),
            "tolerance": Range(low=0.03, high=0.2, log=True),
        }

    def fit(self, task: Task) -> Intervention:
        """Start with the target as sampling weights, and search better ones."""
        start = SortitionPromptIntervention(
            data={
                "lots": dict(zip(task.concepts, task.target.tolist(), strict=True)),
                "groups": [dict(cell.groups) for cell in task.cells],
                "adjectives": [ordered_adjectives(cell) for cell in task.cells],
                "stating": stating_phrases(task.cells, SYNONYMS),
            }
        )
        weights, record = WeightSearch(parameters=self, task=task, intervention=start).run()
        lots = dict(zip(task.concepts, weights.tolist(), strict=True))
        return replace(start, data={**start.data, "lots": lots}, record=record)
