"""Sortition from images: a cell drawn for every image, and one direction per group, learned from images.

The form of Sortition for groups that the model's text encoder has no words for. It needs none: a judge sorts
a few images of the model itself. Let ``x`` be such an image of the prompt ``y``, which states nothing,
``g_a(x)`` the group of attribute ``a`` that the judge reads in it, and ``E(y)`` the text states. A vector per
attribute and group, added to the rows from the concept's last token on, learns to tell the U-Net what the
prompt does not say:

    v* = argmin_v  E || eps - eps_theta(x_t, t, E(y) + sum_a v_(a, g_a(x))) ||^2

over noise, uniform timesteps ``t``, and images drawn group by group, so that rare groups count as much as
common ones; the networks are frozen. What the groups of an attribute have in common says nothing about them,
and is removed. A prompt that mentions a treated concept draws a cell ``(g_a, g_b, ..)`` and becomes

    E(y) + s sum_a (v_(a, g_a) - mean_g v_(a, g))

summed over the attributes that the prompt leaves open. The learned vectors supply what an *average* image of
a group needs, and ``s`` is greater than one because an image whose noise leads elsewhere needs more. The loss
is that of InterpretDiffusion's vectors (arXiv 2311.17216), here on text states, and with images that no
prompt has sorted. The sampling weights are searched as in :mod:`evenhand.methods.sortition.sortition`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from evenhand.methods.base import Budget, Cell, Images, Intervention, MethodInfo, Task, TextStates
from evenhand.methods.shared.group_assignment import group_words
from evenhand.methods.shared.prompt_text import fill
from evenhand.methods.shared.training import course, gaussian, noised, one_thread, random_timesteps, train
from evenhand.methods.sortition._compliance import Floats, Integers
from evenhand.methods.sortition._weight_search import SearchingMethod, WeightSearch
from evenhand.methods.sortition.sortition import SortitionIntervention, last_token, sampling_data
from evenhand.methods.space import Range, Space


@dataclass(frozen=True, eq=False)
class SortitionImagesIntervention(SortitionIntervention):
    """Adds the direction of every drawn group; ``tensors`` holds ``v/ATTRIBUTE/GROUP`` ``(d,)``."""

    def open_attributes(self, prompt: str, eos: Tensor) -> list[str]:
        """Attributes that no known word states."""
        return self.unnamed(prompt)

    def moved(self, rows: Tensor, *, attribute: str, group: str) -> Tensor:
        """The rows with the direction added."""
        shifted: Tensor = rows + self.data["scale"] * self.tensors[f"v/{attribute}/{group}"].to(rows)
        return shifted


class SortitionImages(SearchingMethod):
    """Sortition with learned directions, and the search of :class:`SearchingMethod`.

    Attributes:
        examples: Images that the judge sorts; concepts take turns.
        least: Smallest number of examples of a group. One that the judge reads less often gets those in which
            it is most probable.
        steps: Training steps.
        training_batch: Images per training step.
        learning_rate: Learning rate of Adam.
        scale: Factor ``s`` of every direction.
        anchors: Images of explicit prompts that calibrate the judge. By default none, because such prompts
            need words for the groups.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="sortition-images",
        version="1.0",
        title="Sortition from images",
        summary="Draws a cell and adds directions learned from images that a judge has sorted.",
        licence="Apache-2.0",
        origin="written for Evenhand",
        family="embedding",
        ours=True,
        architectures=("sd1", "sd2", "sdxl"),
        attributes="any that the steering judge sees in images, alone or as joint cells",
    )
    intervention_type: ClassVar[type[Intervention]] = SortitionImagesIntervention
    strength: ClassVar[str | None] = "scale"
    training_length: ClassVar[tuple[str, ...]] = ("steps",)

    examples: int = Field(default=120, ge=1)
    least: int = Field(default=4, ge=1)
    steps: int = Field(default=300, ge=1)
    training_batch: int = Field(default=8, ge=1)
    learning_rate: float = Field(default=0.02, gt=0)
    scale: float = Field(default=2.0, ge=0)
    anchors: int = Field(default=0, ge=0)
    images: int = Field(default=120, ge=0)

    @classmethod
    def space(cls) -> Space:
        """What the directions are learned from and for how long, how strongly they act, and the search."""
        return {
            "examples": Range(low=60, high=240, log=True, integer=True),
            "steps": Range(low=100, high=300, log=True, integer=True),
            "learning_rate": Range(low=5e-3, high=0.1, log=True),
            "scale": Range(low=1.0, high=4.0, log=True),
            "shrink": Range(low=2.0, high=100.0, log=True),
        }

    @property
    def steering_judge(self) -> str | None:
        """The judge that sorts the examples and reads the search's images."""
        return self.judge

    def budget(self, *, concepts: int, cells: Sequence[Cell]) -> Budget:
        """The search, the examples, each judged once per attribute, and every training step."""
        search = super().budget(concepts=concepts, cells=cells)
        return replace(
            search,
            images=search.images + self.examples,
            judgements=search.judgements + self.examples * len(cells[0].groups),
            evaluations=self.steps * self.training_batch,
        )

    def fit(self, task: Task) -> Intervention:
        """Learn the directions, then search the sampling weights."""
        examples = Examples.sorted_by_judge(self, task)
        v, losses = self._directions(task, examples)
        start = SortitionImagesIntervention(
            tensors={
                f"v/{name}/{group}": row
                for name, groups in group_words(task.cells).items()
                for group, row in zip(groups, v[name] - v[name].mean(dim=0), strict=True)
            },
            data={**sampling_data(task), "scale": self.scale},
        )
        fitted = WeightSearch(parameters=self, task=task, intervention=start).fitted()
        return replace(fitted, record={"training": course(losses), **fitted.record})

    @one_thread()
    def _directions(self, task: Task, examples: Examples) -> tuple[dict[str, Tensor], list[float]]:
        """Attribute to ``v_a``, ``(groups, d)``, and the loss of every step."""
        model, rng, n = task.model, task.rng, self.training_batch
        text, x = model.encode(examples.prompts), model.latents(examples.images)
        open_rows = torch.stack([_from_concept(text, row, task) for row in range(len(x))]).to(text.states)
        v = {
            name: torch.zeros(read.max() + 1, text.states.shape[2], device=text.states.device)
            for name, read in examples.groups.items()
        }

        def loss(step: int) -> Tensor:
            rows = examples.draw(rng, n)
            t = random_timesteps(rng, n, model)
            eps = gaussian(rng, (n, *x.shape[1:]), model)
            added = torch.stack([v[name][read[rows]] for name, read in examples.groups.items()]).sum(dim=0)
            states = text.states[rows] + open_rows[rows] * added[:, None].to(text.states)
            pooled = None if text.pooled is None else text.pooled[rows]
            stated = TextStates(states, text.first_eos[rows], pooled)
            return (eps - model.predict(noised(model, x[rows], t, eps), t, stated)).float().pow(2).mean()

        losses = train(
            list(v.values()),
            loss,
            steps=self.steps,
            learning_rate=self.learning_rate,
            precision=model.unet.dtype,
        )
        return {name: rows.detach().cpu() for name, rows in v.items()}, losses


def _from_concept(text: TextStates, row: int, task: Task) -> Tensor:
    """One at every token of a prompt from the concept's last one on, ``(length, 1)``."""
    concept = task.model.token_ids(task.concepts[row % len(task.concepts)])[1:-1]
    places = torch.arange(text.states.shape[1])
    return (places >= last_token(text.ids[row], concept))[:, None]


@dataclass(frozen=True)
class Examples:
    """Images of the model, sorted by the steering judge.

    Attributes:
        prompts: Prompt of every image; concepts take turns.
        images: ``(n, height, width, 3)``.
        groups: Attribute to the index of the group of every image, ``(n,)``.
    """

    prompts: Sequence[str]
    images: Images
    groups: Mapping[str, Integers]

    @classmethod
    def sorted_by_judge(cls, method: SortitionImages, task: Task) -> Examples:
        """Generate the images and read them."""
        search = WeightSearch(parameters=method, task=task, intervention=Intervention())
        concepts = np.resize(task.concepts, method.examples).tolist()
        prompts = [fill(method.measure, concept=concept) for concept in concepts]
        images = search.images(prompts)
        found = search.probabilities(images, concepts)
        return cls(
            prompts,
            images,
            {name: groups_of(found[name], least=method.least) for name in group_words(task.cells)},
        )

    @cached_property
    def _pools(self) -> list[Integers]:
        """Indices of the images of every group, attribute after attribute."""
        return [
            np.flatnonzero(read == group) for read in self.groups.values() for group in range(read.max() + 1)
        ]

    def draw(self, rng: np.random.Generator, count: int) -> Integers:
        """Indices of images ``(count,)``: a random group of a random attribute, then one of its images."""
        chosen = rng.integers(len(self._pools), size=count)
        return np.array([rng.choice(self._pools[pool]) for pool in chosen], dtype=np.int64)


def groups_of(p: Floats, *, least: int) -> Integers:
    """Group of every image, ``(n,)``: the most probable one, but every group has at least ``least`` images.

    A group that is rarely the most probable one gets the images in which it is more probable than in others,
    the rarest group first. There are ``n // groups`` images for each if that is less.

    Args:
        p: The judge's probabilities ``(n, groups)``.
        least: Smallest number of images of a group.
    """
    groups: Integers = p.argmax(axis=1)
    n, count = p.shape
    needed, free = min(least, n // count), np.ones(n, np.bool_)
    for group in np.argsort(np.bincount(groups, minlength=count), kind="stable"):
        if np.count_nonzero(groups == group) < needed:
            chosen = np.argsort(-np.where(free, p[:, group], -1.0), kind="stable")[:needed]
            groups[chosen], free[chosen] = group, False
    return groups
