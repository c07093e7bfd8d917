"""TIME: gives a prompt the cross-attention outputs of a prompt that states another assumption.

Orgad, Kawar, Belinkov: "Editing Implicit Assumptions in Text-to-Image Diffusion Models", ICCV 2023, arXiv
2303.08084, section 4. Every pair of texts is a source ("a doctor") and a destination ("a female doctor"),
which contains the tokens of the source in the same order. With the rows ``c_i`` of the source's text states
and the rows ``d_i`` of the destination's, taken at the position of the same token (:func:`token_map`),

    W' = (lam W + sum W d_i c_i^T) (lam I + sum c_i c_i^T)^-1        sums over all rows of all pairs

for the V projections of the cross-attention and, with ``with_to_k``, for its K projections. One model holds
one pair, and its augmentations: the released code starts from the original projections for every pair. With
``scope="joint"`` one model holds the pairs of all concepts, as in the debiasing version in UCE's repository
(June 2023). This is :mod:`evenhand.methods.shared.closed_form` with targets ``v_i = W d_i``, so one matrix
serves every projection: ``W' = W (I + E)``, ``E = sum (d_i - c_i) (M^-1 c_i)^T``.

For gender, TIME edits "a X" towards the gender that its images rarely show. Here the cell is chosen from the
judge's counts: with shares ``r`` and target ``pi``, it is the cell ``k`` with the largest

    sum_l same(k, l) (pi_l - r_l)         same(k, l): number of attributes in which the cells k and l agree

that is, the most under-represented group of every attribute, combined. One destination cannot meet the shares
of many cells: ``lam`` alone decides how far the edit moves the shares. In the released table of gender pairs
every profession has a validation prompt beside its test prompts; ``search`` is for such a choice. For every
model it takes the multiple of ``lam`` whose images come closest to the target, by ``1/2 sum |r - pi|``, which
for two cells is the paper's measure up to a factor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, StringConstraints
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.methods.base import Budget, Cell, Intervention, Method, MethodInfo, Task, Track
from evenhand.methods.shared.closed_form import ClosedForm
from evenhand.methods.shared.prompt_text import fill
from evenhand.methods.shared.ratio_loop import Template, double, encode, select, shares
from evenhand.methods.shared.source_history import Shares
from evenhand.methods.space import Choice, Range, Space

AUGMENTATIONS = ("A photo of", "An image of", "A picture of")
"""Texts that ``with_augs`` puts before both texts of a pair."""

Positive = Annotated[float, Field(gt=0)]


class Time(Method):
    """TIME with the parameters of its main experiment; in the released code both flags are off by default.

    Attributes:
        with_to_k: Whether the K projections are edited too.
        with_augs: Whether every pair is also edited within three carrier phrases.
        lam: Weight of staying near the old projections; large values edit less.
        search: Factors of ``lam`` among which the fit chooses, for each model; if empty, ``lam`` is used.
        towards: Concept to the name of the cell that its edit adds, such as ``"woman"`` or ``"woman*dark"``;
            for other concepts it is measured.
        source: Template of the edited text, with ``{a}`` and ``{concept}``.
        destination: Template of the text whose outputs it gets, with ``{adjective}`` as well.
        measure: Template of the text whose images are judged.
        label: Template of the judge's text for a cell.
        scope: ``per-concept`` edits one model for each concept, as released; ``joint`` one for all.
        judge: Name of the steering judge.
        images: Images per concept in every measurement.
        negative_prompt: Negative prompt of the measured images.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="time",
        version="1.0",
        title="TIME",
        summary="Gives a concept's tokens the cross-attention outputs of its rarest cell's prompt.",
        paper="https://arxiv.org/abs/2303.08084",
        licence="Apache-2.0",
        origin="bahjat-kawar/time-diffusion, released without a licence; reimplemented from the formulas",
        family="weights",
        architectures=("sd1", "sd2", "sdxl"),
        attributes="any that words before a noun can express; adds one cell per concept",
    )

    with_to_k: bool = True
    with_augs: bool = True
    lam: Positive = 0.1
    search: tuple[Positive, ...] = ()
    towards: dict[str, str] = Field(default_factory=dict)
    source: Template = "{a} {concept}"
    destination: Annotated[Template, StringConstraints(pattern=r"\{adjective\}")] = (
        "{a} {adjective} {concept}"
    )
    measure: Template = "a photo of {a} {concept}"
    label: Annotated[str, StringConstraints(pattern=r"\{(noun|adjective)\}")] = "{a} {adjective} {concept}"
    scope: Literal["per-concept", "joint"] = "per-concept"
    judge: str = "openai-clip-vit-b-32"
    images: int = Field(default=24, ge=1)
    negative_prompt: str = ""

    @classmethod
    def space(cls) -> Space:
        """How far the edit goes (``lam``), whether it includes K and the augmentations, as in the paper."""
        return {
            "lam": Range(low=0.1, high=30_000.0, log=True),
            "with_to_k": Choice((True, False)),
            "with_augs": Choice((True, False)),
        }

    @property
    def track(self) -> Track:
        """One model for all concepts, or one for each."""
        return "one model" if self.scope == "joint" else "a model per concept"

    @property
    def steering_judge(self) -> str | None:
        """The judge that measures the bias; its labels never count as a result."""
        return self.judge

    def budget(self, *, concepts: int, cells: Sequence[Cell]) -> Budget:
        """One measurement before the edit and one for every candidate."""
        images = concepts * self.images * (1 + len(self.search))
        return Budget(images=images, judgements=images, exact=False)

    def fit(self, task: Task) -> Intervention:
        """Choose every concept's cell and solve the edit.

        Raises:
            EvenhandError: ``towards`` names an unknown cell, or a destination lacks a token of its source.
        """
        names = [cell.name for cell in task.cells]
        for concept, name in self.towards.items():
            if name not in names:
                raise EvenhandError(
                    f"time: towards[{concept!r}] is {name!r}; the cells are {', '.join(names)}"
                )
        if self.scope == "joint":
            weights, record = self._edited(task)
            return Intervention(weights=weights, record=record)
        streams = task.rng.spawn(len(task.concepts))
        fits = {
            concept: self._edited(replace(task, concepts=(concept,), target=target[None], rng=stream))
            for concept, target, stream in zip(task.concepts, task.target, streams, strict=True)
        }
        return Intervention(
            concept_weights={concept: weights for concept, (weights, _) in fits.items()},
            record={concept: record for concept, (_, record) in fits.items()},
        )

    def _edited(self, task: Task) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Edited projections, and the record of the measurements."""
        measurements = _Measurements(self, task)
        chosen = {concept: self._cell(measurements, index) for index, concept in enumerate(task.concepts)}
        edit = _Edit(self, task, {concept: cell for concept, cell in chosen.items() if cell is not None})
        candidates = [factor * self.lam for factor in self.search]
        lam = measurements.best(edit, candidates) if candidates else self.lam
        return edit.weights(lam), {
            "towards": {concept: cell.name if cell else None for concept, cell in chosen.items()},
            "lam": lam,
            "measured": measurements.record,
        }

    def _cell(self, measurements: _Measurements, index: int) -> Cell | None:
        """The cell that the edit of a concept adds; ``None`` if no group is under-represented."""
        task = measurements.task
        if given := self.towards.get(task.concepts[index]):
            return next(cell for cell in task.cells if cell.name == given)
        missing = task.target[index] - measurements.baseline[index]
        same = [[sum(k.groups[a] == m.groups[a] for a in k.groups) for m in task.cells] for k in task.cells]
        scores = np.asarray(same) @ missing
        return task.cells[int(scores.argmax())] if scores.max() > 1e-9 else None


class _Edit:
    """The pairs of all treated concepts, ready to be solved for any ``lam``."""

    def __init__(self, method: Time, task: Task, cells: Mapping[str, Cell]) -> None:
        letters = "kv" if method.with_to_k else "v"
        self._weights = select(task.model.cross_attention(), letters)
        pairs = [pair for concept, cell in cells.items() for pair in _pairs(method, concept, cell)]
        rows = [_aligned(task, source, destination) for source, destination in pairs]
        self._rows = [torch.cat(side) for side in zip(*rows, strict=True)]

    def weights(self, lam: float) -> dict[str, Tensor]:
        """``W' = W + W E`` in the model's precision; empty if no concept is treated."""
        if not self._rows:
            return {}
        c, d = self._rows
        E = (d - c).T @ ClosedForm.factor(c, lam=lam).directions
        return {
            name: (w := double(weight)).addmm(w, E).to(weight.dtype) for name, weight in self._weights.items()
        }


@dataclass
class _Measurements:
    """Generates and judges images of every concept, always on the same seeds."""

    method: Time
    task: Task
    record: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._seeds: list[int] = self.task.rng.integers(0, 2**31, size=self.method.images).tolist()

    @cached_property
    def baseline(self) -> Shares:
        """Shares of the baseline, ``(concepts, K)``; measured on first use."""
        return self._shares({}, lam=None)

    def best(self, edit: _Edit, candidates: Sequence[float]) -> float:
        """The candidate whose images come closest to the target; the first of equals."""
        distances = [self._distance(self._shares(edit.weights(lam), lam=lam)) for lam in candidates]
        return candidates[int(np.argmin(distances))]

    def _distance(self, ratios: Shares) -> float:
        return float(np.abs(ratios - self.task.target).sum(axis=1).mean() / 2)

    def _shares(self, weights: Mapping[str, Tensor], *, lam: float | None) -> Shares:
        """Judged shares of every concept and cell, ``(concepts, K)``."""
        method, task, n = self.method, self.task, self.method.images
        images = task.sample(
            [fill(method.measure, concept=concept) for concept in task.concepts for _ in self._seeds],
            self._seeds * len(task.concepts),
            intervention=Intervention(weights=weights),
            negative_prompt=method.negative_prompt,
        )
        ratios = []
        for index, concept in enumerate(task.concepts):
            texts = [fill(method.label, concept=concept, cell=cell) for cell in task.cells]
            ratios.append(shares(task.judge(images[index * n : (index + 1) * n], texts)))
        result = np.stack(ratios)
        self.record.append(
            {
                "lam": lam,
                "distance": self._distance(result),
                "ratios": dict(zip(task.concepts, result.tolist(), strict=True)),
            }
        )
        return result


def _pairs(method: Time, concept: str, cell: Cell) -> list[tuple[str, str]]:
    """Source and destination text of a concept, alone and within the augmentations."""
    source = fill(method.source, concept=concept)
    destination = fill(method.destination, concept=concept, cell=cell)
    carriers = AUGMENTATIONS if method.with_augs else ()
    return [(source, destination)] + [
        (f"{carrier} {_lowered(source)}", f"{carrier} {_lowered(destination)}") for carrier in carriers
    ]


def _lowered(text: str) -> str:
    """The text with a leading capital "A" in lower case, as released."""
    return "a" + text[1:] if text.startswith("A") else text


def _aligned(task: Task, source: str, destination: str) -> tuple[Tensor, Tensor]:
    """Rows ``c_i`` of the source and ``d_i`` of the destination, ``(length, d)`` each, float64."""
    c, d = encode(task.model, [source, destination]).states
    article = {task.model.token_ids("an")[1]: task.model.token_ids("a")[1]}
    ids = [
        [article.get(token, token) for token in task.model.token_ids(text)] for text in (source, destination)
    ]
    positions = token_map(*ids, length=len(c))
    if positions is None:
        raise EvenhandError(
            f"time: {destination!r} lacks a token of {source!r} or has them in another order; "
            "the destination may only insert words"
        )
    return c, d[positions]


def token_map(source: Sequence[int], destination: Sequence[int], *, length: int) -> list[int] | None:
    """Positions in the destination of the source's tokens, followed by those of its padding.

    Args:
        source: Token ids with begin and end of text, without padding.
        destination: The same of the destination.
        length: Number of text states.

    Returns:
        ``length`` positions, the last one repeated as often as needed; ``None`` if the destination does not
        contain the tokens of the source in their order.

    >>> token_map([0, 7, 8, 1], [0, 7, 5, 8, 1], length=8)
    [0, 1, 3, 4, 5, 6, 7, 7]
    """
    positions, j = [], 0
    for token in source:
        while j < len(destination) and destination[j] != token:
            j += 1
        if j == len(destination):
            return None
        positions.append(j)
        j += 1
    rest = [*range(j, length)]
    return (positions + rest + [length - 1] * length)[:length]
