"""The outer loop of UCE and MIST: draw, judge, compare with the target, edit, and again.

One round measures the share ``r_k`` of every cell among images of every source text, stops if each text is
within the tolerance of its target, and otherwise hands ``target - r`` to the method's own edit. Shares are
measured before each edit only, as released: if all rounds are used, the last edit is never measured.

The released rule compares the share among a fixed number of images with the tolerance: it rejects fair
models and accepts unfair ones by luck. With ``stopping="sequential"`` a round draws its images in batches
and, after each, asks the anytime-valid bounds of :mod:`evenhand.methods.shared.sequential_test`: a source is measured
until all its bounds lie inside the band ``target +- tolerance`` (balanced: nothing else counts as converged)
or one lies wholly outside (edit now), and at most ``images`` times. Where no measured share is further from
its target than the tolerance there is nothing to edit, and the next round goes on counting.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from pydantic import Field, StringConstraints
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.methods.base import (
    Budget,
    Cell,
    EditableModel,
    Images,
    Intervention,
    Method,
    Task,
    TextStates,
)
from evenhand.methods.shared import sequential_test
from evenhand.methods.shared.closed_form import ClosedForm
from evenhand.methods.shared.edit_leakage import responses
from evenhand.methods.shared.prompt_text import fill
from evenhand.methods.shared.source_history import Shares, Source, SourceHistory

Template = Annotated[str, StringConstraints(pattern=r"\{concept\}")]
"""A text with the field ``{concept}``, see :func:`evenhand.methods.shared.prompt_text.fill`."""


class Editor(Protocol):
    """A method's own edit, with the float64 projections it has edited so far and its latest closed form."""

    weights: dict[str, Tensor]
    form: ClosedForm

    def edit(self, difference: Shares) -> None:
        """Edit the projections, given ``target - ratio`` of every source and cell, ``(sources, K)``."""
        ...


UNRELATED = ("a photo of a cat", "a photo of a tree", "a photo of an apple", "a photo of a house")
"""Texts without people."""


class RatioLoop(Method):
    """What UCE and MIST share: their common parameters, and the loop around their edit.

    Attributes:
        scope: ``joint`` edits one model for all concepts; ``per-concept`` edits one model per concept.
        remeasure: Whether a converged source is measured again in every round.
        projections: The cross-attention projections that are edited.
        judge: Name of the steering judge.
        step_size: Step along ``target - ratio``.
        lam: Weight of staying near the old projections.
        mu: Weight of each preserved state.
        tolerance: Largest distance to the target that counts as balanced.
        stopping: ``released`` compares the shares among ``images`` images with the tolerance;
            ``sequential`` draws as many as its bounds need, see the module's text.
        images: Images per source and round; the largest number if sequential_test.
        batch: Images per source between two looks of the sequential rule.
        significance_level: Chance that a sequential verdict on one source in one round is wrong.
        rounds: Most rounds.
        negative_prompt: Negative prompt of the measured images.
        unrelated: Texts that have nothing to do with the edit; the record says how they respond to it.
    """

    strength: ClassVar[str | None] = "step_size"

    scope: Literal["joint", "per-concept"] = "joint"
    remeasure: bool
    projections: Literal["kv", "k", "v"] = "kv"
    judge: str = "openai-clip-vit-b-32"
    step_size: float = Field(default=0.1, ge=0)
    lam: float = Field(default=0.5, gt=0)
    mu: float = Field(ge=0)
    tolerance: float = Field(default=0.05, ge=0, lt=1)
    stopping: Literal["released", "sequential"] = "released"
    images: int = Field(ge=1)
    batch: int = Field(default=8, ge=1)
    significance_level: float = Field(default=0.05, gt=0, lt=1)
    rounds: int = Field(ge=1)
    negative_prompt: str = ""
    unrelated: tuple[str, ...] = UNRELATED

    @property
    def steering_judge(self) -> str | None:
        """The judge inside the loop; its verdict never counts in the method's headline."""
        return self.judge

    @property
    def sources_per_concept(self) -> int:
        """How many texts of a concept are edited and measured."""
        return 1

    def budget(self, *, concepts: int, cells: Sequence[Cell]) -> Budget:
        """All rounds for all sources; the loop may end sooner."""
        images = concepts * self.sources_per_concept * self.images * self.rounds
        return Budget(images=images, judgements=images, exact=False)

    @abstractmethod
    def sources(self, task: Task) -> list[Source]:
        """The texts that are edited and measured."""

    @abstractmethod
    def editor(self, task: Task, sources: Sequence[Source], weights: dict[str, Tensor]) -> Editor:
        """The method's edit, starting from the given projections (float64)."""

    def fit(self, task: Task) -> Intervention:
        """Edit one model for all concepts, or one model per concept, until the shares meet the target.

        Raises:
            EvenhandError: The edit diverged.
        """
        if self.scope == "joint":
            weights, record = self.edited(task)
            return Intervention(weights=weights, record=record)
        streams = task.rng.spawn(len(task.concepts))
        fits = {
            concept: self.edited(replace(task, concepts=(concept,), target=target[None], rng=stream))
            for concept, target, stream in zip(task.concepts, task.target, streams, strict=True)
        }
        records = [record for _, record in fits.values()]
        return Intervention(
            concept_weights={concept: weights for concept, (weights, _) in fits.items()},
            record={key: [row for record in records for row in record[key]] for key in records[0]},
        )

    def edited(self, task: Task) -> tuple[dict[str, Tensor], dict[str, list[dict[str, Any]]]]:
        """The projections of one model edited for all concepts of the task, in the model's own precision.

        Returns:
            Parameter name to projection; and the record: ``sources``, what was measured of every source,
            and ``response``, how texts respond to the edit.
        """
        weights = select(task.model.cross_attention(), self.projections)
        precisions = {name: weight.dtype for name, weight in weights.items()}
        targets = dict(zip(task.concepts, task.target, strict=True))
        histories = [
            SourceHistory(source=source, target=targets[source.concept]) for source in self.sources(task)
        ]
        sources = [history.source for history in histories]
        editor = self.editor(task, sources, {name: double(weight) for name, weight in weights.items()})
        edits = 0
        for number in range(1, self.rounds + 1):
            self._measure(task, histories, weights, number)
            if all(history.balanced for history in histories):
                break
            difference = np.stack([history.target - history.ratios[-1] for history in histories])
            if self.stopping == "sequential" and np.abs(difference).max() <= self.tolerance:
                continue
            editor.edit(difference)
            edits += 1
            for history in histories:
                history.restart()
            weights = {name: weight.to(precisions[name]) for name, weight in editor.weights.items()}
            self._require_finite(weights, histories, number)
        rows = [self._row(history, edits) for history in histories]
        return weights, {"sources": rows, "response": self.response(task, sources, editor.form)}

    def response(self, task: Task, sources: Sequence[Source], form: ClosedForm) -> list[dict[str, Any]]:
        """How edited, explicit and unrelated texts respond to the edit, see :func:`responses`."""
        explicit = [
            fill("{a} {adjective} {concept}", concept=concept, cell=cell)
            for concept in task.concepts
            for cell in task.cells
        ]
        texts = {
            "edited": [source.text for source in sources],
            "explicit": explicit,
            "unrelated": self.unrelated,
        }
        about = "" if self.scope == "joint" else task.concepts[0]
        return [{"concept": about, **row} for row in responses(task.model, form, texts=texts)]

    def _measure(
        self, task: Task, histories: Sequence[SourceHistory], weights: Mapping[str, Tensor], number: int
    ) -> None:
        """Note the judged shares of every source that is due, by the rule of ``stopping``."""
        due = [history for history in histories if self.remeasure or not history.balanced]
        if self.stopping == "sequential":
            self._count(task, due, weights, number)
            return
        for history, probabilities in self._judged(task, due, weights, number=number, count=self.images):
            ratio = shares(probabilities)
            history.note(ratio, images=len(probabilities), balanced=history.gap(ratio) < self.tolerance)

    def _count(
        self, task: Task, due: Sequence[SourceHistory], weights: Mapping[str, Tensor], number: int
    ) -> None:
        """Draw batches until the bounds of every due source give a verdict, or its images are used up."""
        left = self.images
        while (undecided := [history for history in due if self._verdict(history) == "open"]) and left > 0:
            count = min(self.batch, left)
            for history, probabilities in self._judged(task, undecided, weights, number=number, count=count):
                # The bounds need one class an image: a tie counts for the first of its classes.
                history.counts += np.bincount(probabilities.argmax(axis=1), minlength=len(history.counts))
            left -= count
        for history in due:
            total = history.counts.sum()
            balanced = self._verdict(history) == "balanced"
            history.note(history.counts / total, images=int(total), balanced=balanced)

    def _verdict(self, history: SourceHistory) -> sequential_test.Verdict:
        return sequential_test.verdict(
            history.counts,
            history.target,
            tolerance=self.tolerance,
            significance_level=self.significance_level,
        )

    def _judged(
        self,
        task: Task,
        due: Sequence[SourceHistory],
        weights: Mapping[str, Tensor],
        *,
        number: int,
        count: int,
    ) -> Iterator[tuple[SourceHistory, Shares]]:
        """Probabilities ``(count, K)`` of one batch for every due source, on the same seeds."""
        seeds = self.seeds(task, count)
        images = task.sample(
            [history.source.prompt for history in due for _ in seeds],
            seeds * len(due),
            intervention=Intervention(weights=weights),
            negative_prompt=self.negative_prompt,
        )
        for index, history in enumerate(due):
            batch: Images = images[index * count : (index + 1) * count]
            probabilities = task.judge(batch, history.source.labels)
            if not np.isfinite(probabilities).all():
                raise EvenhandError(
                    f"{self.info.name} diverged for {history.source.concept!r}: the judge gave no finite "
                    f"probabilities in round {number}; lower `step_size` (now {self.step_size})"
                )
            yield history, probabilities

    def seeds(self, task: Task, count: int) -> list[int]:
        """Seeds of the images of one batch: fresh ones."""
        fresh: list[int] = task.rng.integers(0, 2**31, size=count).tolist()
        return fresh

    def _require_finite(
        self, weights: Mapping[str, Tensor], histories: Sequence[SourceHistory], number: int
    ) -> None:
        """Refuse projections that overflowed, naming the concept that was furthest from its target."""
        for name, weight in weights.items():
            if not torch.isfinite(weight).all():
                furthest = max(histories, key=lambda history: history.gaps[-1]).source.concept
                raise EvenhandError(
                    f"{self.info.name} diverged in round {number}: {name} is not finite in {weight.dtype} "
                    f"(furthest from its target: {furthest!r}); lower `step_size` (now {self.step_size})"
                )

    def _row(self, history: SourceHistory, edits: int) -> dict[str, Any]:
        """One source's line in the record."""
        return {
            "concept": history.source.concept,
            "text": history.source.text,
            "converged": history.balanced,
            "rounds": len(history.ratios),
            "edits": edits,
            "images": history.images,
            "gaps": history.gaps,
            "ratios": [ratio.tolist() for ratio in history.ratios],
        }


def shares(probabilities: Shares) -> Shares:
    """Share of images that each class wins, ``(K,)``; as released, a tie counts for every tied class."""
    winners = probabilities == probabilities.max(axis=1, keepdims=True)
    result: Shares = winners.mean(axis=0)
    return result


def select(weights: Mapping[str, Tensor], projections: str) -> dict[str, Tensor]:
    """The K (``k``), V (``v``) or all (``kv``) cross-attention projections."""
    return {name: w for name, w in weights.items() if any(f".to_{letter}." in name for letter in projections)}


def encode(model: EditableModel, texts: Sequence[str]) -> TextStates:
    """Text states in float64 on the CPU, where every closed form is solved."""
    encoded = model.encode(texts)
    return TextStates(states=double(encoded.states), first_eos=encoded.first_eos.cpu())


def double(tensor: Tensor) -> Tensor:
    """A float64 copy on the CPU."""
    return tensor.detach().to(device="cpu", dtype=torch.float64, copy=True)
