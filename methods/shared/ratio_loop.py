"""The outer loop of UCE and MIST: generate, judge, compare with the target, edit, repeat.

A round measures the share ``r_k`` of every cell among images of every source text. The loop stops if every
text is within the tolerance of its target; otherwise the method's edit receives ``target - r``. As in the
released code, shares are measured before each edit only: if all rounds are used, the last edit is never
measured.

The released rule compares the share among a fixed number of images with the tolerance. With so few images it
often rejects a fair model and accepts an unfair one by chance. With ``stopping="sequential"`` a round
generates its images in batches and checks the anytime-valid bounds of
:mod:`evenhand.methods.shared.sequential_test` after each. A source is measured until all its bounds lie
inside the band ``target +- tolerance`` (balanced; only this counts as converged) or one lies entirely outside
(edit now), and with at most ``images`` images. If no measured share is further from its target than the
tolerance, nothing is edited and the next round adds to the counts.
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
    Track,
)
from evenhand.methods.shared import sequential_test
from evenhand.methods.shared.closed_form import ClosedForm
from evenhand.methods.shared.edit_leakage import leakage_rows
from evenhand.methods.shared.prompt_text import fill
from evenhand.methods.shared.source_history import Shares, Source, SourceHistory

Template = Annotated[str, StringConstraints(pattern=r"\{concept\}")]
"""A text with the field ``{concept}``, see :func:`evenhand.methods.shared.prompt_text.fill`."""


class Editor(Protocol):
    """A method's edit: the float64 projections edited so far and the latest closed form."""

    weights: dict[str, Tensor]
    form: ClosedForm

    def edit(self, difference: Shares) -> None:
        """Edit the projections, given ``target - ratio`` of every source and cell, ``(sources, K)``."""
        ...


MAX_IMAGES = 1024
"""Number of images that are generated before they are judged: 0.8 GB at 512 x 512."""

UNRELATED = ("a photo of a cat", "a photo of a tree", "a photo of an apple", "a photo of a house")
"""Texts without people."""


class RatioLoop(Method):
    """The common parameters of UCE and MIST, and the loop around their edit.

    Attributes:
        scope: ``joint`` edits one model for all concepts; ``per-concept`` edits one model per concept.
        remeasure: Whether a converged source is measured again in every round.
        projections: The cross-attention projections that are edited.
        judge: Name of the steering judge.
        step_size: Step along ``target - ratio``.
        lam: Weight of staying near the old projections.
        mu: Weight of each preserved state.
        tolerance: Largest distance to the target that counts as balanced.
        stopping: ``released`` compares the shares among ``images`` images with the tolerance; ``sequential``
            generates as many images as its bounds need.
        images: Images per source and round; with ``stopping="sequential"`` the largest number.
        batch: Images per source between two checks of the sequential rule.
        significance_level: Probability that a sequential verdict on one source in one round is wrong.
        rounds: Largest number of rounds.
        negative_prompt: Negative prompt of the measured images.
        sampling_steps: Denoising steps of the measured images, 20 in the released code; ``None`` for those of
            the protocol.
        unrelated: Texts unrelated to the edit, for the record of its leakage.
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
    sampling_steps: int | None = Field(default=None, ge=1, le=1000)
    unrelated: tuple[str, ...] = UNRELATED

    @property
    def track(self) -> Track:
        """One model for all concepts, or one for each."""
        return "one model" if self.scope == "joint" else "a model per concept"

    @property
    def steering_judge(self) -> str | None:
        """The judge inside the loop; its labels never count as a result."""
        return self.judge

    @property
    def fit_steps(self) -> int | None:
        """Denoising steps of the measured images."""
        return self.sampling_steps

    @property
    def sources_per_concept(self) -> int:
        """Number of edited and measured texts per concept."""
        return 1

    def budget(self, *, concepts: int, cells: Sequence[Cell]) -> Budget:
        """All rounds for all sources; the loop may end earlier."""
        images = concepts * self.sources_per_concept * self.images * self.rounds
        return Budget(images=images, judgements=images, exact=False)

    @abstractmethod
    def sources(self, task: Task) -> list[Source]:
        """The edited and measured texts."""

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
        """The projections of one model edited for all concepts of the task, in the model's precision.

        Returns:
            Parameter name to projection; and the record: ``sources``, the measurements of every source, and
            ``response``, the edit leakage into several lists of texts.
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
        return weights, {"sources": rows, "response": self.leakage(task, sources, editor.form)}

    def leakage(self, task: Task, sources: Sequence[Source], form: ClosedForm) -> list[dict[str, Any]]:
        """Edit leakage into edited, explicit and unrelated texts, see :func:`leakage_rows`."""
        texts = {
            "edited": [source.text for source in sources],
            "explicit": explicit_texts(task.concepts, task.cells),
            "unrelated": self.unrelated,
        }
        concept = "" if self.scope == "joint" else task.concepts[0]
        return [{"concept": concept, **row} for row in leakage_rows(task.model, form, texts=texts)]

    def _measure(
        self, task: Task, histories: Sequence[SourceHistory], weights: Mapping[str, Tensor], number: int
    ) -> None:
        """Measure every source that is due, by the rule of ``stopping``."""
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
        """Generate batches until every due source has a verdict or its images are used up."""
        remaining = self.images
        while (
            undecided := [history for history in due if self._verdict(history) == "open"]
        ) and remaining > 0:
            count = min(self.batch, remaining)
            for history, probabilities in self._judged(task, undecided, weights, number=number, count=count):
                # The bounds need one class per image, so a tie counts for its first class.
                history.counts += np.bincount(probabilities.argmax(axis=1), minlength=len(history.counts))
            remaining -= count
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
        for history, batch in self._drawn(task, due, weights, seeds):
            probabilities = task.judge(batch, history.source.labels)
            if not np.isfinite(probabilities).all():
                raise EvenhandError(
                    f"{self.info.name} diverged for {history.source.concept!r}: the judge returned no finite "
                    f"probabilities in round {number}; lower `step_size` (now {self.step_size})"
                )
            yield history, probabilities

    def _drawn(
        self, task: Task, due: Sequence[SourceHistory], weights: Mapping[str, Tensor], seeds: list[int]
    ) -> Iterator[tuple[SourceHistory, Images]]:
        """The images of every source, one per seed; those of few sources at a time are in memory."""
        together = max(1, MAX_IMAGES // len(seeds))
        for start in range(0, len(due), together):
            part = due[start : start + together]
            images = task.sample(
                [history.source.prompt for history in part for _ in seeds],
                seeds * len(part),
                intervention=Intervention(weights=weights),
                negative_prompt=self.negative_prompt,
            )
            yield from zip(part, np.split(images, len(part)), strict=True)

    def seeds(self, task: Task, count: int) -> list[int]:
        """Seeds of the images of one batch: new ones."""
        seeds: list[int] = task.rng.integers(0, 2**31, size=count).tolist()
        return seeds

    def _require_finite(
        self, weights: Mapping[str, Tensor], histories: Sequence[SourceHistory], number: int
    ) -> None:
        """Raise an error if a projection overflowed, naming the concept furthest from its target."""
        for name, weight in weights.items():
            if not torch.isfinite(weight).all():
                furthest = max(histories, key=lambda history: history.gaps[-1]).source.concept
                raise EvenhandError(
                    f"{self.info.name} diverged in round {number}: {name} is not finite in {weight.dtype} "
                    f"(furthest from its target: {furthest!r}); lower `step_size` (now {self.step_size})"
                )

    def _row(self, history: SourceHistory, edits: int) -> dict[str, Any]:
        """The record of one source."""
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


def explicit_texts(concepts: Sequence[str], cells: Sequence[Cell]) -> list[str]:
    """Texts in which every cell is stated of every concept."""
    return [
        fill("{a} {adjective} {concept}", concept=concept, cell=cell)
        for concept in concepts
        for cell in cells
    ]


def double(tensor: Tensor) -> Tensor:
    """A float64 copy on the CPU."""
    return tensor.detach().to(device="cpu", dtype=torch.float64, copy=True)
