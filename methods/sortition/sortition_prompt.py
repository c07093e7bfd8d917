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

from dataclasses import dataclass
from typing import ClassVar

from evenhand.methods.base import Intervention, MethodInfo, Task
from evenhand.methods.shared.completion import CompletingIntervention, completion_data
from evenhand.methods.shared.stated_groups import SYNONYMS
from evenhand.methods.sortition._weight_search import SearchingMethod, WeightSearch
from evenhand.methods.space import Range, Space


@dataclass(frozen=True, eq=False)
class SortitionPromptIntervention(CompletingIntervention):
    """Completes prompts with cells drawn by the sampling weights, ``data["lots"]``."""

    weights_of_cells: ClassVar[str] = "lots"


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
        target = dict(zip(task.concepts, task.target.tolist(), strict=True))
        data = {"lots": target, **completion_data(task, SYNONYMS)}
        start = SortitionPromptIntervention(data=data)
        return WeightSearch(parameters=self, task=task, intervention=start).fitted()
