"""Does the correction hold for the images of a method? Tests on images that people labelled.

A confusion matrix from some images is valid for others only if the judge makes the same errors on both. The
tests compare errors between the anchors of the matrix and the labelled images, between the baseline and the
method, and between parts of the method's images; and corrected shares with prediction-powered ones, which
assume nothing about the judge. With few labelled images a large p-value is weak evidence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.metrics.correction.calibration import Calibration, calibrate, counts_of
from evenhand.metrics.correction.transport import RIGHT, errors_by_stratum, inversion_against_powered
from evenhand.metrics.estimation.panel import PANEL
from evenhand.metrics.representation import FloatArray, ratio
from evenhand.metrics.rows import CorrectionCheck, TransportRow
from evenhand.metrics.statistics.uncertainty import holm, stream

KINDS = ("neutral", "explicit")
"""Kinds of prompts whose shares are compared."""


@dataclass(frozen=True)
class Coded:
    """Labelled images of one attribute as codes.

    Attributes:
        truth: ``(n,)`` true groups.
        answers: ``(n,)`` labels of a judge, the number of groups where undetermined.
        weights: ``(n,)`` inverse inclusion probabilities.
    """

    truth: NDArray[np.int64]
    answers: NDArray[np.int64]
    weights: FloatArray


@dataclass(frozen=True)
class CheckPlan:
    """The settings of the checks.

    Attributes:
        taxonomy: Attribute to groups.
        confusion: Confusion table that the numbers are corrected with.
        other_images: Whether the table was measured on other images than these anchors.
        base: The baseline, if any.
        draws: Number of resamples.
        seed: Seed of all random streams.
    """

    taxonomy: Mapping[str, Sequence[str]]
    confusion: pd.DataFrame
    other_images: bool
    base: str | None
    draws: int
    seed: int


def coded(truth: pd.DataFrame, answers: pd.DataFrame, groups: Sequence[str]) -> Coded:
    """True groups and labels of one attribute, in the order of ``truth``.

    Args:
        truth: Columns ``key``, ``label``, and ``probability`` if anchors are weighted.
        answers: Label table of one judge: columns ``key``, ``label``, ``status``.
        groups: The groups of the attribute.
    """
    said = answers.drop_duplicates("key").set_index("key").reindex(truth["key"])
    place = {group: number for number, group in enumerate(groups)}
    decided = np.where(said["status"] == "ok", said["label"].astype(str), "")
    n = len(truth)
    return Coded(
        np.array([place[label] for label in truth["label"]], np.int64),
        np.array([place.get(label, len(groups)) for label in decided], np.int64),
        1 / truth["probability"].to_numpy(float) if "probability" in truth else np.ones(n),
    )


def correction_checks(
    images: pd.DataFrame, answers: pd.DataFrame, truth: pd.DataFrame, *, plan: CheckPlan
) -> dict[str, CorrectionCheck]:
    """The check of every method's correction of the panel.

    Args:
        images: Images that the panel labels: columns ``method``, ``key``, ``kind`` and ``stereotype`` (empty
            where it has no meaning).
        answers: Labels of the panel: columns ``key``, ``attribute``, ``label``, ``status``.
        truth: Checked anchors; see :func:`evenhand.metrics.estimation.anchors.check_anchors`.
        plan: The settings.
    """
    keys = {str(method): rows for method, rows in images.groupby("method", sort=False)}
    parts = {
        attribute: _Attribute.of(attribute, answers, truth, plan)
        for attribute in plan.taxonomy
        if attribute in set(truth["attribute"])
    }
    counts = {method: _labelled(rows, truth, plan.taxonomy) for method, rows in keys.items()}
    base = plan.base if plan.base in keys else None
    found = {}
    for method, rows in keys.items():
        against = keys[base] if base and base != method else None
        tests = [row for part in parts.values() for row in part.tests(method, rows, against, plan)]
        sides = dict.fromkeys([base, method] if base else [method])
        labelled = {side: counts[side] for side in sides}
        found[method] = CorrectionCheck(labelled=labelled, tests=_adjusted(tests))
    return found


def _labelled(images: pd.DataFrame, truth: pd.DataFrame, taxonomy: Mapping[str, Sequence[str]]) -> int:
    own = truth[truth["key"].isin(set(images["key"]))]["attribute"].value_counts()
    return int(own.reindex(list(taxonomy), fill_value=0).min())


def _adjusted(rows: Sequence[TransportRow]) -> list[TransportRow]:
    adjusted = holm(np.array([row.p for row in rows]))
    return [row.model_copy(update={"p": float(p)}) for row, p in zip(rows, adjusted, strict=True)]


@dataclass(frozen=True)
class _Attribute:
    """The anchors, labels and calibration of one attribute."""

    name: str
    groups: tuple[str, ...]
    truth: pd.DataFrame
    answers: pd.DataFrame
    calibration: Calibration | None
    counts: FloatArray | None

    @classmethod
    def of(cls, name: str, answers: pd.DataFrame, truth: pd.DataFrame, plan: CheckPlan) -> _Attribute:
        table, taxonomy = plan.confusion, plan.taxonomy
        known = calibrate(
            table, judge=PANEL, attributes=[name], taxonomy=taxonomy, draws=plan.draws, seed=plan.seed
        )
        counts = counts_of(table, judge=PANEL, attributes=[name], taxonomy=taxonomy)
        return cls(
            name,
            tuple(plan.taxonomy[name]),
            truth[truth["attribute"] == name],
            answers[answers["attribute"] == name],
            known if isinstance(known, Calibration) else None,
            counts if plan.other_images else None,
        )

    def tests(
        self, method: str, images: pd.DataFrame, base: pd.DataFrame | None, plan: CheckPlan
    ) -> Iterator[TransportRow]:
        """The tests of a method with p-values that are not adjusted; none if the panel is not corrected."""
        if self.calibration is None or self._coded(images) is None:
            return
        of_test = {
            "calibration": {"calibration": self._of_table(), "these images": self._coded(images)},
            "baseline": {} if base is None else self._against(base, images),
            "kind": self._by(images, "kind"),
            "stereotype": self._by(images[images["stereotype"] != ""], "stereotype"),
        }
        for test, parts in of_test.items():
            known = {name: part for name, part in parts.items() if part is not None}
            rng = stream(plan.seed, "transport", method, self.name, test)
            if len(known) > 1:
                yield from self._strata(test, known, rng)
        for kind in KINDS:
            rng = stream(plan.seed, "transport", method, self.name, "shares", kind)
            yield from self._shares(kind, images[images["kind"] == kind], self.calibration, rng)

    def _coded(self, images: pd.DataFrame) -> Coded | None:
        own = self.truth[self.truth["key"].isin(set(images["key"]))]
        return coded(own, self.answers, self.groups) if len(own) else None

    def _by(self, images: pd.DataFrame, column: str) -> dict[str, Coded | None]:
        return {str(name): self._coded(rows) for name, rows in images.groupby(column, sort=True)}

    def _against(self, base: pd.DataFrame, images: pd.DataFrame) -> dict[str, Coded | None]:
        """The labelled images of the baseline, and those of the method that the baseline does not share."""
        own = images[~images["key"].isin(set(base["key"]))]
        return {"baseline": self._coded(base), "these images": self._coded(own)}

    def _of_table(self) -> Coded | None:
        """The anchors of the confusion table, if they are other images."""
        if self.counts is None:
            return None
        truth, answers = np.indices(self.counts.shape).reshape(2, -1)
        often = self.counts.round().astype(np.int64).ravel()
        return Coded(np.repeat(truth, often), np.repeat(answers, often), np.ones(often.sum()))

    def _strata(
        self, test: str, parts: Mapping[str, Coded], rng: np.random.Generator
    ) -> Iterator[TransportRow]:
        """Test within every true group that the parts have the same errors."""
        truth, answers, weights = (
            np.concatenate([getattr(part, field) for part in parts.values()])
            for field in ("truth", "answers", "weights")
        )
        strata = np.repeat(np.arange(len(parts)), [len(part.truth) for part in parts.values()])
        found = errors_by_stratum(
            truth,
            answers,
            strata,
            groups=len(self.groups),
            rng=rng,
            weights=None if (weights == weights[0]).all() else weights,
        )
        for number, (group, one) in enumerate(zip(self.groups, found, strict=True)):
            recall = ratio(one.table[:, RIGHT], one.table.sum(axis=1))
            yield TransportRow(
                test=test,
                attribute=self.name,
                group=group,
                rates=dict(zip(parts, recall.tolist(), strict=True)),
                n=int(((truth == number) & (strata >= ("calibration" in parts))).sum()),
                p=one.p_value,
            )

    def _shares(
        self, kind: str, images: pd.DataFrame, known: Calibration, rng: np.random.Generator
    ) -> Iterator[TransportRow]:
        """Compare the corrected shares with those estimated from the labels of people."""
        own = self._coded(images)
        if own is None or len(own.truth) < 2:
            return
        everyone = pd.DataFrame({"key": images["key"].unique(), "label": self.groups[0]})
        size = len(self.groups) + 1
        pool = np.bincount(coded(everyone, self.answers, self.groups).answers, minlength=size)
        weighted = "probability" in self.truth
        rest = (pool if weighted else pool - np.bincount(own.answers, minlength=size)).astype(float)
        if not rest[:-1].any():
            return
        found = inversion_against_powered(
            known.matrix,
            known.draws,
            truth=own.truth,
            answers=own.answers,
            pool=rest,
            rng=rng,
            weights=own.weights if weighted else None,
        )
        largest = int(np.nan_to_num(np.abs(found.difference)).argmax())
        yield TransportRow(
            test="shares",
            attribute=self.name,
            kind=kind,
            group=self.groups[largest],
            rates={"corrected": found.inverted[largest], "labelled": found.powered[largest]},
            n=len(own.truth),
            p=found.p_value,
        )
