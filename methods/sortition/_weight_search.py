"""Search for the sampling weights of an intervention that draws a cell for every image.

Explicit prompts calibrate the steering judge. Then images are generated with the current weights, and after
every batch a sequential test checks the shares that the judge reads
(:mod:`evenhand.methods.sortition._compliance`). The search ends when every attribute is proven to be within
the tolerance of its target, or with its last image. If an attribute is proven to be beyond the tolerance, the
weights are solved again from all images so far.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import Field

from evenhand.methods.base import Budget, Cell, Images, Intervention, Method, Task
from evenhand.methods.shared.group_assignment import group_words
from evenhand.methods.shared.prompt_text import described, fill
from evenhand.methods.shared.randomness import drawn_cell, image_stream
from evenhand.methods.shared.ratio_loop import Template
from evenhand.methods.sortition import _compliance
from evenhand.methods.sortition._compliance import Floats, Integers


class SearchingMethod(Method):
    """A method that searches its sampling weights.

    Attributes:
        measure: Template of the prompts of the search's images, with ``{a}`` and ``{concept}``.
        judge: Name of the steering judge.
        anchors: Images of explicit prompts that calibrate the judge; 0 assumes an error-free judge.
        images: Largest number of images of the search for the sampling weights; 0 uses the target.
        batch: Images between two checks.
        tolerance: Largest distance of a group's share from its target that counts as balanced.
        significance_level: Probability that the sequential test of an attribute is ever wrong.
        shrink: Number of images at which a measured effect counts half.
    """

    measure: Template = "a photo of {a} {concept}"
    judge: str = "openai-clip-vit-b-32"
    anchors: int = Field(default=60, ge=0)
    images: int = Field(default=180, ge=0)
    batch: int = Field(default=60, ge=1)
    tolerance: float = Field(default=0.1, gt=0, lt=1)
    significance_level: float = Field(default=0.05, gt=0, lt=1)
    shrink: float = Field(default=20.0, ge=0)

    @property
    def steering_judge(self) -> str | None:
        """The judge that reads the search's images; its labels never count as a result."""
        return self.judge if self.anchors + self.images else None

    def budget(self, *, concepts: int, cells: Sequence[Cell]) -> Budget:
        """All anchors and all images, each judged once per attribute."""
        images = self.anchors + self.images
        return Budget(images=images, judgements=images * len(cells[0].groups), exact=False)


@dataclass(frozen=True)
class WeightSearch:
    """Calibrates the judge, generates images, and solves the weights again if they miss the target.

    Attributes:
        parameters: Numbers of images, and what counts as balanced.
        task: Concepts, cells, target, sampler and judge.
        intervention: The intervention whose ``data["lots"]`` are searched: concept to sampling weights.
    """

    parameters: SearchingMethod
    task: Task
    intervention: Intervention

    def fitted(self) -> Intervention:
        """The intervention with the sampling weights found, and the record of the search."""
        weights, record = self._search()
        return replace(self._weighted(weights), record=record)

    def _search(self) -> tuple[Floats, dict[str, Any]]:
        """Sampling weights of every concept, ``(concepts, K)``, and the record."""
        confusion = self._calibrate()
        weights, looks, since = self.task.target, [], 0
        read = ReadImages.none(self._groups)
        while len(read) < self.parameters.images:
            read = read + self._draw(weights, min(self.parameters.batch, self.parameters.images - len(read)))
            verdicts = self._verdicts(read.after(since), weights, confusion)
            looks.append({"images": len(read), "verdicts": verdicts})
            if set(verdicts.values()) == {"balanced"}:
                break
            if "unbalanced" in verdicts.values():
                weights, since = self._solve(read, confusion), len(read)
        return weights, {
            "looks": looks,
            "confusion": {name: table.tolist() for name, table in confusion.items()},
            "effects": {
                f"{cause} on {name}": effect.tolist()
                for name in self._groups
                for cause, effect in self._effects(read, name, confusion).items()
            },
        }

    @cached_property
    def _groups(self) -> dict[str, Integers]:
        return _compliance.group_indices(self.task.cells)

    @cached_property
    def _words(self) -> dict[str, dict[str, str]]:
        return group_words(self.task.cells)

    def _calibrate(self) -> dict[str, Floats]:
        """``C_a`` from images of explicit prompts, every cell and concept in turn."""
        count, task = self.parameters.anchors, self.task
        numbers = np.arange(count)
        cells, concepts = numbers % len(task.cells), [task.concepts[n % len(task.concepts)] for n in numbers]
        prompts = [
            described(self.parameters.measure, concept, self._words, task.cells[cell].groups)
            for concept, cell in zip(concepts, cells, strict=True)
        ]
        read = self.read(self.images(prompts), concepts) if count else dict.fromkeys(self._groups, cells)
        return {
            name: _compliance.confusion_matrix(group[cells], read[name], group.max() + 1)
            for name, group in self._groups.items()
        }

    def _draw(self, weights: Floats, count: int) -> ReadImages:
        """Images of concepts in random order; the cell of each follows from its own random stream."""
        intervention = self._weighted(weights)
        shares = intervention.data["lots"]
        order = [self.task.rng.permutation(len(shares)) for _ in range(-(-count // len(shares)))]
        concepts = [self.task.concepts[index] for index in np.concatenate(order)[:count]]
        prompts = [fill(self.parameters.measure, concept=concept) for concept in concepts]
        seeds = self._seeds(count)
        images = self.task.sample(prompts, seeds, intervention=intervention)
        digest = intervention.digest()
        drawn = [
            drawn_cell(prompt, image_stream(digest, prompt, seed), shares)
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        cells = np.array([cell for _, cell in filter(None, drawn)])
        return ReadImages(tuple(concepts), cells, self.read(images, concepts))

    def _weighted(self, weights: Floats) -> Intervention:
        shares = dict(zip(self.task.concepts, weights.tolist(), strict=True))
        return replace(self.intervention, data={**self.intervention.data, "lots": shares})

    def images(self, prompts: Sequence[str]) -> Images:
        """Images of the model itself, ``(n, height, width, 3)``."""
        return self.task.sample(prompts, self._seeds(len(prompts)))

    def _seeds(self, count: int) -> list[int]:
        seeds: list[int] = self.task.rng.integers(0, 2**31, size=count).tolist()
        return seeds

    def read(self, images: Images, concepts: Sequence[str]) -> dict[str, Integers]:
        """Attribute to the group that the judge reads in each image, ``(n,)``."""
        return {name: p.argmax(axis=1) for name, p in self.probabilities(images, concepts).items()}

    def probabilities(self, images: Images, concepts: Sequence[str]) -> dict[str, Floats]:
        """Attribute to the judge's probabilities of its groups, ``(n, groups)``.

        Args:
            images: Images of the search.
            concepts: Concept of every image.
        """
        found = {name: np.ones((len(images), 1)) for name in self._groups}
        found |= {name: np.zeros((len(images), len(groups))) for name, groups in self._words.items()}
        for concept in dict.fromkeys(concepts):
            where = np.array([other == concept for other in concepts])
            for name, groups in self._words.items():
                texts = [
                    described(self.parameters.measure, concept, self._words, {name: group})
                    for group in groups
                ]
                found[name][where] = self.task.judge(images[where], texts)
        return found

    def _verdicts(self, read: ReadImages, weights: Floats, confusion: Mapping[str, Floats]) -> dict[str, str]:
        """Attribute to what the images generated with the current weights prove about it."""
        indices = [self.task.concepts.index(concept) for concept in read.concepts]
        drawn, target = (rows[indices].mean(axis=0) for rows in (weights, self.task.target))
        verdicts: dict[str, str] = {}
        for name, group in self._groups.items():
            low, high = _compliance.deviation_bounds(
                group[read.cells],
                read.groups[name],
                drawn=np.bincount(group, weights=drawn).astype(np.float64),
                compliant=_compliance.compliant_reading(target, group=group, confusion=confusion[name]),
                significance_level=self.parameters.significance_level,
            )
            verdicts[name] = _compliance.verdict(low, high, tolerance=self.parameters.tolerance)
        return verdicts

    def _effects(self, read: ReadImages, name: str, confusion: Mapping[str, Floats]) -> dict[str, Floats]:
        return _compliance.estimate_effects(
            read.cells,
            read.groups[name],
            groups=self._groups,
            attribute=name,
            confusion=confusion[name],
            m=self.parameters.shrink,
        )

    def _solve(self, read: ReadImages, confusion: Mapping[str, Floats]) -> Floats:
        """Sampling weights of every concept, from all images so far."""
        tables = [
            _compliance.readings(
                self._groups,
                attribute=name,
                confusion=confusion[name],
                effects=self._effects(read, name, confusion),
            )
            for name in self._groups
        ]
        return np.stack([self._concept_weights(target, tables, confusion) for target in self.task.target])

    def _concept_weights(
        self, target: Floats, tables: Sequence[Floats], confusion: Mapping[str, Floats]
    ) -> Floats:
        compliant = [
            _compliance.compliant_reading(target, group=group, confusion=confusion[name])
            for name, group in self._groups.items()
        ]
        return _compliance.sampling_weights(target, tables=tables, compliant=compliant)


@dataclass(frozen=True)
class ReadImages:
    """Images of the search and what the judge read.

    Attributes:
        concepts: Concept of every image.
        cells: Assigned cell of every image, ``(n,)``.
        groups: Attribute to the group that the judge read in every image, ``(n,)``.
    """

    concepts: tuple[str, ...]
    cells: Integers
    groups: Mapping[str, Integers]

    @classmethod
    def none(cls, attributes: Iterable[str]) -> ReadImages:
        """No images."""
        empty = np.zeros(0, np.int64)
        return cls((), empty, dict.fromkeys(attributes, empty))

    def __len__(self) -> int:
        return len(self.cells)

    def __add__(self, more: ReadImages) -> ReadImages:
        groups = {name: np.concatenate([read, more.groups[name]]) for name, read in self.groups.items()}
        return ReadImages(self.concepts + more.concepts, np.concatenate([self.cells, more.cells]), groups)

    def after(self, start: int) -> ReadImages:
        """The images from ``start`` on."""
        groups = {name: read[start:] for name, read in self.groups.items()}
        return ReadImages(self.concepts[start:], self.cells[start:], groups)
