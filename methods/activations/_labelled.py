"""Activations of images whose groups are known because their prompts state them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from evenhand.methods.base import Task
from evenhand.methods.shared.group_assignment import group_words
from evenhand.methods.shared.observation import Reduce, observe
from evenhand.methods.shared.prompt_text import fill


@dataclass(frozen=True)
class Labelled:
    """Activations with their groups.

    Attributes:
        features: Module name to ``(images, steps, ...)``.
        groups: Attribute to the index of each image's group, ``(images,)``, in the order of
            :func:`~evenhand.methods.shared.group_assignment.group_words`.
    """

    features: Mapping[str, Tensor]
    groups: Mapping[str, NDArray[np.int64]]


def observe_cells(
    task: Task,
    *,
    templates: Sequence[str],
    subjects: Sequence[str],
    images: int,
    sites: Sequence[str],
    reduce: Reduce,
    both: bool = False,
) -> Labelled:
    """Generate images of every cell and record their activations.

    Args:
        task: Generates and counts the images; every image has its own seed from the task's stream.
        templates: Templates with ``{adjective}`` and ``{concept}``.
        subjects: Nouns that fill ``{concept}``; the treated concepts if empty.
        images: Images of each cell; subjects take turns, then templates.
        sites: Names of the U-Net modules.
        reduce: Reduction of their outputs.
        both: As for :func:`~evenhand.methods.shared.observation.observe`.
    """
    nouns = list(subjects or task.concepts)
    shown = [(cell, i) for cell in task.cells for i in range(images)]
    prompts = [
        fill(templates[i // len(nouns) % len(templates)], concept=nouns[i % len(nouns)], cell=cell)
        for cell, i in shown
    ]
    seeds = [int(seed) for seed in task.rng.choice(2**31, size=len(shown), replace=False)]
    seen = observe(task, prompts, seeds, sites=sites, reduce=reduce, both=both)
    order = {attribute: list(groups) for attribute, groups in group_words(task.cells).items()}
    groups = {
        attribute: np.array([names.index(cell.groups[attribute]) for cell, _ in shown], dtype=np.int64)
        for attribute, names in order.items()
    }
    return Labelled(features=seen.features, groups=groups)
