"""InterMit: completes prompts with as few attributes as the interactions of the biases require.

Balancing one attribute can balance or unbalance another one. InterMit (arXiv 2505.17280) measures this with
counterfactual prompts, BiasConnect, and balances one attribute after the other, the most useful first. With
``p_j(S)`` the distribution of attribute ``j`` among images of a concept whose prompts state the groups of the
attributes ``S`` in the shares of the target ``t``, and with priorities ``w``,

    bias_j(S)     = W1(p_j(S), t_j)
    IS(i -> j | S) = bias_j(S) - bias_j(S + i)
    i*            = argmax_i sum_j w_j IS(i -> j | S),    S <- S + i*

from ``S = {}`` until ``sum_j w_j bias_j(S) / sum_j w_j`` is at most ``threshold``, every attribute is in
``S``, or no attribute helps. ``W1`` is the Wasserstein distance; between groups without an order, with
distance 1 between any two, it is the total variation.

The paper leaves the mitigation to any method and uses prompts itself. Here a prompt is completed as by the
targeted attribute prompt: the attributes of ``S`` that it leaves open are drawn from the target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StringConstraints

from evenhand.bench.errors import EvenhandError
from evenhand.methods.base import Budget, Cell, Intervention, Method, MethodInfo, Task
from evenhand.methods.prompts.targeted_attribute import (
    TargetedAttributePrompt,
    TargetedAttributePromptIntervention,
)
from evenhand.methods.shared.prompt_text import described
from evenhand.methods.space import Range, Space

Axes = tuple[str, ...]
"""Attributes that the prompts of a concept state, in the order in which they were chosen."""

MAX_IMAGES = 1024
"""Number of images that are generated before they are judged."""


@dataclass(frozen=True, eq=False)
class InterMitIntervention(TargetedAttributePromptIntervention):
    """Inserts the drawn cell's words for the chosen attributes that a prompt does not state.

    ``data``: that of the targeted attribute prompt, and ``axes`` (concept to its chosen attributes).
    """

    def mitigated(self, concept: str) -> set[str]:
        """The attributes that were chosen for a concept."""
        return {*self.data["axes"][concept]}


class InterMit(Method):
    """Balances the attributes of each concept one after the other, the most useful first.

    Attributes:
        judge: Name of the steering judge.
        measure: Text whose images are judged, with ``{concept}``; the groups are stated before the concept.
        images: Images of every measurement of a concept.
        threshold: Largest weighted bias of a concept that counts as balanced, from 0 to 1.
        priorities: Attribute to its weight ``w``; 1 for attributes that are not listed.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="intermit",
        version="1.0",
        title="InterMit",
        summary="Completes prompts with the attributes whose balancing removes most bias, one by one.",
        paper="https://arxiv.org/abs/2505.17280",
        licence="Apache-2.0",
        origin="paper without released code; reconstructed from its description",
        family="prompt",
        architectures=("any",),
        attributes="any that words can express and the steering judge can distinguish",
    )
    intervention_type: ClassVar[type[Intervention]] = InterMitIntervention

    judge: str = "openai-clip-vit-b-32"
    measure: Annotated[str, StringConstraints(pattern=r"\{concept\}")] = "a photo of {a} {concept}"
    images: int = Field(default=48, ge=1)
    threshold: float = Field(default=0.1, ge=0, le=1)
    priorities: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)

    @property
    def steering_judge(self) -> str | None:
        """The judge that measures the biases; its labels never count as a result."""
        return self.judge

    @classmethod
    def space(cls) -> Space:
        """The images of a measurement, and the bias that counts as balanced."""
        return {
            "images": Range(low=8, high=48, log=True, integer=True),
            "threshold": Range(low=0.02, high=0.4, log=True),
        }

    def budget(self, *, concepts: int, cells: Sequence[Cell]) -> Budget:
        """One measurement without groups, then one for every attribute that is left in each step."""
        attributes = len(cells[0].groups)
        most = concepts * (1 + attributes * (attributes + 1) // 2) * self.images
        return Budget(images=most, judgements=most, exact=False)

    def check(self, *, family: str, cells: Sequence[Cell]) -> None:
        """Also require that every priority is of an attribute, and that one is positive."""
        super().check(family=family, cells=cells)
        known = cells[0].groups
        for name in sorted(self.priorities.keys() - known.keys()):
            raise EvenhandError(
                f"intermit: priority of {name!r}, which is not balanced; known: {', '.join(known)}"
            )
        if not any(self.priorities.get(name, 1.0) for name in known):
            raise EvenhandError("intermit: all priorities are 0; give one attribute a positive weight")

    def fit(self, task: Task) -> Intervention:
        """Choose the attributes of every concept."""
        search = _Search(self, task)
        axes, history = search.run()
        targeted = TargetedAttributePrompt().fit(task)
        return InterMitIntervention(
            data={**targeted.data, "axes": {concept: list(chosen) for concept, chosen in axes.items()}},
            record={"bias": history},
        )


@dataclass
class _Search:
    """The greedy search; measures all concepts of a step together."""

    method: InterMit
    task: Task
    words: dict[str, dict[str, str]] = field(init=False)
    weights: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        cells = self.task.cells
        names = list(cells[0].groups)
        self.words = {name: {cell.groups[name]: cell.adjectives[name] for cell in cells} for name in names}
        weights = np.array([self.method.priorities.get(name, 1.0) for name in names])
        self.weights = weights / weights.sum()

    def run(self) -> tuple[dict[str, Axes], dict[str, list[float]]]:
        """The chosen attributes of every concept, and its weighted bias before and after each step."""
        chosen: dict[str, Axes] = dict.fromkeys(self.task.concepts, ())
        first = self._biases([(concept, ()) for concept in chosen])
        history = {concept: [first[concept, ()]] for concept in chosen}
        active = list(chosen)
        for _ in self.words:
            active = [name for name in active if history[name][-1] > self.method.threshold]
            tried = {
                name: [(*chosen[name], axis) for axis in self.words if axis not in chosen[name]]
                for name in active
            }
            found = self._biases([(name, axes) for name in active for axes in tried[name]])
            for name in list(active):
                best = min(tried[name], key=lambda axes: found[name, axes])
                if found[name, best] >= history[name][-1]:
                    active.remove(name)
                    continue
                chosen[name] = best
                history[name].append(found[name, best])
        return chosen, history

    def _biases(self, wanted: Sequence[tuple[str, Axes]]) -> dict[tuple[str, Axes], float]:
        """``sum_j w_j bias_j(S) / sum_j w_j`` of concepts whose prompts state the attributes ``S``."""
        per_chunk = max(1, MAX_IMAGES // self.method.images)
        found = {}
        for start in range(0, len(wanted), per_chunk):
            chunk = wanted[start : start + per_chunk]
            prompts = [prompt for concept, axes in chunk for prompt in self._prompts(concept, axes)]
            seeds = self.task.rng.integers(0, 2**31, size=len(prompts)).tolist()
            images = self.task.sample(prompts, seeds)
            for place, (concept, axes) in enumerate(chunk):
                own = images[place * self.method.images : (place + 1) * self.method.images]
                found[concept, axes] = float(self.weights @ self._bias(concept, own))
        return found

    def _prompts(self, concept: str, axes: Axes) -> list[str]:
        """Prompts that state the groups of ``axes`` as often as the target asks, rounded."""
        combinations = list(product(*(self.words[name] for name in axes)))
        shares = [self._share(concept, dict(zip(axes, groups, strict=True))) for groups in combinations]
        return [
            described(self.method.measure, concept, self.words, dict(zip(axes, groups, strict=True)))
            for groups, count in zip(combinations, apportioned(shares, self.method.images), strict=True)
            for _ in range(count)
        ]

    def _share(self, concept: str, groups: Mapping[str, str]) -> float:
        """The target's share of the cells with these groups."""
        target = self.task.target[self.task.concepts.index(concept)]
        inside = [
            all(cell.groups[name] == group for name, group in groups.items()) for cell in self.task.cells
        ]
        return float(target[inside].sum())

    def _bias(self, concept: str, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """``W1(p_j, t_j)`` of every attribute, by the judge's most probable cell of each image."""
        measure, words = self.method.measure, self.words
        labels = [described(measure, concept, words, cell.groups) for cell in self.task.cells]
        seen = self.task.judge(images, labels).argmax(axis=1)
        distances = []
        for name, groups in self.words.items():
            shown = [self.task.cells[cell].groups[name] for cell in seen]
            gaps = [shown.count(group) / len(shown) - self._share(concept, {name: group}) for group in groups]
            distances.append(np.abs(gaps).sum() / 2)
        return np.array(distances)


def apportioned(shares: Sequence[float], count: int) -> list[int]:
    """``count`` images in these shares: rounded down, the rest to the largest remainders.

    >>> apportioned([0.5, 0.25, 0.25], 6)
    [3, 2, 1]
    """
    exact = np.asarray(shares) * count
    found = np.floor(exact).astype(int)
    for place in np.argsort(found - exact, kind="stable")[: count - int(found.sum())]:
        found[place] += 1
    return [int(number) for number in found]
