"""Finding the weights of an intervention that draws a cell for every image.

Explicit prompts calibrate the steering judge; images are drawn with the weights; after every few of them a
sequential test looks at the shares that the judge reads (:mod:`evenhand.methods.sortition._compliance`). The search ends
when every attribute is proven to be within the tolerance of its target, or with its last image; where an
attribute is proven to be beyond it, the weights are solved anew from all images seen so far.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from evenhand.methods.base import Images, Intervention, Task
from evenhand.methods.shared.group_assignment import group_words
from evenhand.methods.shared.prompt_text import described, fill
from evenhand.methods.shared.randomness import drawn_cell, image_stream
from evenhand.methods.sortition import _compliance
from evenhand.methods.sortition._compliance import Floats, Integers


class Rules(Protocol):
    """The parameters of the search, see :class:`evenhand.methods.sortition.sortition.Sortition`."""

    measure: str
    anchors: int
    images: int
    batch: int
    tolerance: float
    significance_level: float
    shrink: float


@dataclass(frozen=True)
class WeightSearch:
    """The search for the weights: calibrate the judge, draw, look, and solve the weights anew where they miss.

    Attributes:
        rules: How many images, and what counts as met.
        task: Concepts, cells, target, and the means to draw and judge.
        edit: The intervention whose ``data["lots"]`` are sought: concept to probabilities of the cells.
    """

    rules: Rules
    task: Task
    edit: Intervention

    def run(self) -> tuple[Floats, dict[str, Any]]:
        """Lots of every concept, ``(concepts, K)``, and the record."""
        confusion = self._calibrate()
        weights, looks, since = self.task.target, [], 0
        seen = Seen.none(self._of)
        while len(seen) < self.rules.images:
            seen = seen + self._draw(weights, min(self.rules.batch, self.rules.images - len(seen)))
            verdicts = self._verdicts(seen.after(since), weights, confusion)
            looks.append({"images": len(seen), "verdicts": verdicts})
            if set(verdicts.values()) == {"balanced"}:
                break
            if "unbalanced" in verdicts.values():
                weights, since = self._solve(seen, confusion), len(seen)
        return weights, {
            "looks": looks,
            "confusion": {name: table.tolist() for name, table in confusion.items()},
            "effects": {
                f"{cause} on {name}": effect.tolist()
                for name in self._of
                for cause, effect in self._effects(seen, name, confusion).items()
            },
        }

    @cached_property
    def _of(self) -> dict[str, Integers]:
        return _compliance.groups_of(self.task.cells)

    @cached_property
    def _words(self) -> dict[str, dict[str, str]]:
        return group_words(self.task.cells)

    def _calibrate(self) -> dict[str, Floats]:
        """``C_a`` from images of explicit prompts, every cell and concept in turn."""
        count, task = self.rules.anchors, self.task
        numbers = np.arange(count)
        cells, concepts = numbers % len(task.cells), [task.concepts[n % len(task.concepts)] for n in numbers]
        prompts = [
            described(self.rules.measure, concept, self._words, task.cells[cell].groups)
            for concept, cell in zip(concepts, cells, strict=True)
        ]
        read = self._read(self._images(prompts), concepts) if count else dict.fromkeys(self._of, cells)
        return {
            name: _compliance.confusion(group[cells], read[name], group.max() + 1)
            for name, group in self._of.items()
        }

    def _draw(self, weights: Floats, count: int) -> Seen:
        """Images by lot of concepts in random order; their cells are known from their own streams."""
        shares = dict(zip(self.task.concepts, weights.tolist(), strict=True))
        edit = replace(self.edit, data={**self.edit.data, "lots": shares})
        order = [self.task.rng.permutation(len(shares)) for _ in range(-(-count // len(shares)))]
        concepts = [self.task.concepts[index] for index in np.concatenate(order)[:count]]
        prompts = [fill(self.rules.measure, concept=concept) for concept in concepts]
        seeds = self._seeds(count)
        images = self.task.sample(prompts, seeds, intervention=edit)
        digest = edit.digest()
        cells = [
            drawn_cell(prompt, image_stream(digest, prompt, seed), shares)
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        drawn = np.array([cell for _, cell in filter(None, cells)])
        return Seen(tuple(concepts), drawn, self._read(images, concepts))

    def _images(self, prompts: Sequence[str]) -> Images:
        return self.task.sample(prompts, self._seeds(len(prompts)))

    def _seeds(self, count: int) -> list[int]:
        seeds: list[int] = self.task.rng.integers(0, 2**31, size=count).tolist()
        return seeds

    def _read(self, images: Images, concepts: Sequence[str]) -> dict[str, Integers]:
        """Group that the judge reads for every attribute, ``(n,)`` each."""
        read = {name: np.zeros(len(images), np.int64) for name in self._of}
        for concept in dict.fromkeys(concepts):
            where = np.array([other == concept for other in concepts])
            for name, groups in self._words.items():
                texts = [
                    described(self.rules.measure, concept, self._words, {name: group}) for group in groups
                ]
                read[name][where] = self.task.judge(images[where], texts).argmax(axis=1)
        return read

    def _verdicts(self, seen: Seen, weights: Floats, confusion: Mapping[str, Floats]) -> dict[str, str]:
        """What the images drawn with the present weights prove about every attribute."""
        found: dict[str, str] = {}
        served = np.stack([weights[self.task.concepts.index(concept)] for concept in seen.concepts]).mean(
            axis=0
        )
        wanted = np.stack([self.task.target[self.task.concepts.index(c)] for c in seen.concepts]).mean(axis=0)
        for name, group in self._of.items():
            low, high = _compliance.deviation(
                group[seen.cells],
                seen.read[name],
                served=np.bincount(group, weights=served).astype(np.float64),
                wanted=_compliance.wanted(wanted, group=group, expected=confusion[name]),
                significance_level=self.rules.significance_level,
            )
            found[name] = _compliance.verdict(low, high, tolerance=self.rules.tolerance)
        return found

    def _effects(self, seen: Seen, name: str, confusion: Mapping[str, Floats]) -> dict[str, Floats]:
        return _compliance.effects(
            seen.cells, seen.read[name], of=self._of, on=name, expected=confusion[name], m=self.rules.shrink
        )

    def _solve(self, seen: Seen, confusion: Mapping[str, Floats]) -> Floats:
        """Lots of every concept, from all images seen so far."""
        tables = {
            name: _compliance.reading(
                self._of, on=name, expected=confusion[name], found=self._effects(seen, name, confusion)
            )
            for name in self._of
        }
        return np.stack(
            [
                _compliance.sampling_weights(
                    target,
                    tables=list(tables.values()),
                    wanted=[
                        _compliance.wanted(target, group=group, expected=confusion[name])
                        for name, group in self._of.items()
                    ],
                )
                for target in self.task.target
            ]
        )


@dataclass(frozen=True)
class Seen:
    """Images of the loop: concept, cell that was asked for, and the group read of every attribute."""

    concepts: tuple[str, ...]
    cells: Integers
    read: Mapping[str, Integers]

    @classmethod
    def none(cls, attributes: Iterable[str]) -> Seen:
        """No image yet."""
        empty = np.zeros(0, np.int64)
        return cls((), empty, dict.fromkeys(attributes, empty))

    def __len__(self) -> int:
        return len(self.cells)

    def __add__(self, more: Seen) -> Seen:
        read = {name: np.concatenate([seen, more.read[name]]) for name, seen in self.read.items()}
        return Seen(self.concepts + more.concepts, np.concatenate([self.cells, more.cells]), read)

    def after(self, start: int) -> Seen:
        """The images from ``start`` on."""
        read = {name: seen[start:] for name, seen in self.read.items()}
        return Seen(self.concepts[start:], self.cells[start:], read)
