"""The outer loop of UCE and MIST: draw, judge, compare with the target, edit, and again.

One round measures the share ``r_k`` of every cell among pictures of every source text, stops if each text is
within the tolerance of its target, and otherwise hands ``target - r`` to the method's own edit. Shares are
measured before each edit only, as released: if all rounds are used, the last edit is never measured.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
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

Shares = NDArray[np.float64]

Template = Annotated[str, StringConstraints(pattern=r"\{concept\}")]
"""A text with the field ``{concept}``, see :func:`evenhand.methods.phrases.fill`."""


@dataclass(frozen=True)
class Source:
    """A text that is edited, and how its bias is measured.

    Attributes:
        concept: The concept it depicts.
        text: The text whose states are edited.
        prompt: The text whose pictures are measured.
        guidance: One text per cell, towards which the edit moves.
        labels: One text per cell, between which the steering judge chooses.
    """

    concept: str
    text: str
    prompt: str
    guidance: tuple[str, ...]
    labels: tuple[str, ...]


class Editor(Protocol):
    """A method's own edit, with the float64 projections it has edited so far."""

    weights: dict[str, Tensor]

    def edit(self, difference: Shares) -> None:
        """Edit the projections, given ``target - ratio`` of every source and cell, ``(sources, K)``."""
        ...


@dataclass
class Track:
    """What the loop has measured of one source, round by round."""

    source: Source
    target: Shares
    ratios: list[Shares] = field(default_factory=list)

    @property
    def gaps(self) -> list[float]:
        """Largest distance to the target of every measured round."""
        return [float(np.abs(self.target - ratio).max()) for ratio in self.ratios]

    def within(self, tolerance: float) -> bool:
        """Whether the last measured round was closer to the target than the tolerance."""
        return bool(self.ratios) and self.gaps[-1] < tolerance


class RatioLoop(Method):
    """What UCE and MIST share: their common parameters, and the loop around their edit.

    Attributes:
        scope: ``joint`` edits one model for all concepts; ``per-concept`` edits one model per concept.
        remeasure: Whether a converged source is measured again in every round.
        projections: The cross-attention projections that are edited.
        judge: Name of the steering judge.
        step: Step along ``target - ratio``.
        lam: Weight of staying near the old projections.
        mu: Weight of each preserved state.
        tolerance: Largest distance to the target that counts as balanced.
        pictures: Pictures per source and round.
        rounds: Most rounds.
        negative_prompt: Negative prompt of the measured pictures.
    """

    strength: ClassVar[str | None] = "step"

    scope: Literal["joint", "per-concept"] = "joint"
    remeasure: bool
    projections: Literal["kv", "k", "v"] = "kv"
    judge: str = "openai-clip-vit-b-32"
    step: float = Field(default=0.1, ge=0)
    lam: float = Field(default=0.5, gt=0)
    mu: float = Field(ge=0)
    tolerance: float = Field(default=0.05, ge=0, lt=1)
    pictures: int = Field(ge=1)
    rounds: int = Field(ge=1)
    negative_prompt: str = ""

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
        pictures = concepts * self.sources_per_concept * self.pictures * self.rounds
        return Budget(pictures=pictures, judgements=pictures, exact=False)

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
            weights, record = self._loop(task)
            return Intervention(weights=weights, record={"sources": record})
        streams = task.rng.spawn(len(task.concepts))
        fits = {
            concept: self._loop(replace(task, concepts=(concept,), target=target[None], rng=stream))
            for concept, target, stream in zip(task.concepts, task.target, streams, strict=True)
        }
        return Intervention(
            concept_weights={concept: weights for concept, (weights, _) in fits.items()},
            record={"sources": [row for _, record in fits.values() for row in record]},
        )

    def _loop(self, task: Task) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
        """The edited projections in the model's own precision, and what was measured of every source."""
        weights = select(task.model.cross_attention(), self.projections)
        precisions = {name: weight.dtype for name, weight in weights.items()}
        targets = dict(zip(task.concepts, task.target, strict=True))
        tracks = [Track(source=source, target=targets[source.concept]) for source in self.sources(task)]
        editor = self.editor(task, [t.source for t in tracks], {n: double(w) for n, w in weights.items()})
        edits = 0
        for number in range(1, self.rounds + 1):
            due = [track for track in tracks if self.remeasure or not track.within(self.tolerance)]
            self._measure(task, due, weights, number)
            if all(track.within(self.tolerance) for track in tracks):
                break
            editor.edit(np.stack([track.target - track.ratios[-1] for track in tracks]))
            edits = number
            weights = {name: weight.to(precisions[name]) for name, weight in editor.weights.items()}
            self._require_finite(weights, tracks, number)
        return weights, [self._row(track, edits) for track in tracks]

    def _measure(self, task: Task, due: Sequence[Track], weights: Mapping[str, Tensor], number: int) -> None:
        """Draw one batch for every due source, on the same fresh seeds, and note the judged shares."""
        seeds: list[int] = task.rng.integers(0, 2**31, size=self.pictures).tolist()
        images = task.sample(
            [track.source.prompt for track in due for _ in seeds],
            seeds * len(due),
            intervention=Intervention(weights=weights),
            negative_prompt=self.negative_prompt,
        )
        for index, track in enumerate(due):
            batch: Images = images[index * self.pictures : (index + 1) * self.pictures]
            probabilities = task.judge(batch, track.source.labels)
            if not np.isfinite(probabilities).all():
                raise EvenhandError(
                    f"{self.info.name} diverged for {track.source.concept!r}: the judge gave no finite "
                    f"probabilities in round {number}; lower `step` (now {self.step})"
                )
            track.ratios.append(shares(probabilities))

    def _require_finite(self, weights: Mapping[str, Tensor], tracks: Sequence[Track], number: int) -> None:
        """Refuse projections that overflowed, naming the concept that was furthest from its target."""
        for name, weight in weights.items():
            if not torch.isfinite(weight).all():
                furthest = max(tracks, key=lambda track: track.gaps[-1]).source.concept
                raise EvenhandError(
                    f"{self.info.name} diverged in round {number}: {name} is not finite in {weight.dtype} "
                    f"(furthest from its target: {furthest!r}); lower `step` (now {self.step})"
                )

    def _row(self, track: Track, edits: int) -> dict[str, Any]:
        """One source's line in the record."""
        return {
            "concept": track.source.concept,
            "text": track.source.text,
            "converged": track.within(self.tolerance),
            "rounds": len(track.ratios),
            "edits": edits,
            "gaps": track.gaps,
            "ratios": [ratio.tolist() for ratio in track.ratios],
        }


def shares(probabilities: Shares) -> Shares:
    """Share of pictures that each class wins, ``(K,)``; as released, a tie counts for every tied class."""
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
