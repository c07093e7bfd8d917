"""What warnings about a correction catch: simulated labels by people, for judges whose errors are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evenhand.metrics.correction.calibration import CONFUSION_COLUMNS
from evenhand.metrics.estimation.correction_checks import CheckPlan, correction_checks
from evenhand.metrics.estimation.panel import PANEL
from evenhand.metrics.representation import FloatArray
from evenhand.metrics.rows import CorrectionCheck

GROUPS = ("light", "medium", "dark")
SHARES = (0.6, 0.2, 0.2)
"""Shares of the groups in the images."""

SHARP = np.array([[0.998, 0.002, 0, 0], [0.001, 0.998, 0.001, 0], [0, 0.002, 0.998, 0]])
"""A judge that is nearly always right: rates of the labels, the last undetermined, for each true group."""

MISSES_MEDIUM = np.array([[0.998, 0.002, 0, 0], [0.08, 0.87, 0, 0.05], [0, 0.002, 0.998, 0]])
"""A judge that misses 13 % of one group."""

BASE, METHOD = "base", "method"
LABELLED = (100, 300)
"""Numbers of images of each side that people label."""

IMAGES = 600
REPETITIONS = 100


@dataclass(frozen=True)
class Case:
    """A correction with a known defect, or none.

    Attributes:
        name: Name in the table.
        judges: Method to the rates of the judge on its images.
        calibrated: The rates that the correction assumes.
    """

    name: str
    judges: Mapping[str, FloatArray]
    calibrated: FloatArray


CASES = (
    Case("none", {BASE: SHARP, METHOD: SHARP}, SHARP),
    Case("none; the judge errs as calibrated", {BASE: MISSES_MEDIUM, METHOD: MISSES_MEDIUM}, MISSES_MEDIUM),
    Case("misses 13% of a group on all images", {BASE: MISSES_MEDIUM, METHOD: MISSES_MEDIUM}, SHARP),
    Case("misses 13% of a group on edited images", {BASE: SHARP, METHOD: MISSES_MEDIUM}, SHARP),
)


def confusion(matrix: FloatArray, *, anchors: int = 1000) -> pd.DataFrame:
    """The confusion table of the panel, with the expected counts of ``anchors`` images of each group."""
    counts = (matrix * anchors).round().astype(int)
    rows = [
        (PANEL, "tone", truth, label, counts[i, j])
        for i, truth in enumerate(GROUPS)
        for j, label in enumerate((*GROUPS, "undetermined"))
    ]
    return pd.DataFrame(rows, columns=list(CONFUSION_COLUMNS))


Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]
"""Images, labels of the panel, and labels of people."""


def sampled(
    rng: np.random.Generator, judges: Mapping[str, FloatArray], *, images: int, labelled: int
) -> Tables:
    """Images of some methods with labels of the panel, and labels of people for the first of each method."""
    made, answers, truth = [], [], []
    for method, matrix in judges.items():
        for number in range(images):
            key, kind = f"{method}-{number}", ("neutral", "explicit")[number % 2]
            shown = rng.choice(3, p=SHARES)
            said = rng.choice(4, p=matrix[shown])
            made.append((method, key, kind, "female" if kind == "neutral" else ""))
            ok = said < 3
            answers.append((key, "tone", GROUPS[said] if ok else "", "ok" if ok else "low_confidence"))
            if number < labelled:
                truth.append((key, "tone", GROUPS[shown]))
    return (
        pd.DataFrame(made, columns=["method", "key", "kind", "stereotype"]),
        pd.DataFrame(answers, columns=["key", "attribute", "label", "status"]),
        pd.DataFrame(truth, columns=["key", "attribute", "label"]),
    )


def checks(tables: Tables, calibrated: FloatArray, *, draws: int = 200) -> dict[str, CorrectionCheck]:
    """The checks of every method's correction."""
    plan = CheckPlan(
        taxonomy={"tone": GROUPS},
        confusion=confusion(calibrated),
        other_images=True,
        base=BASE,
        draws=draws,
        seed=0,
    )
    return correction_checks(*tables, plan=plan)


def warned(check: CorrectionCheck) -> bool:
    """Whether a test contradicts the correction; p-values are adjusted over the tests of a method."""
    return any(row.p < 0.05 for row in check.tests)


def catches(repetitions: int = REPETITIONS) -> pd.DataFrame:
    """One row per case and number of labels: how often a warning appears for each side."""
    rows = []
    for place, case in enumerate(CASES):
        for labelled in LABELLED:
            hits = {BASE: 0, METHOD: 0}
            for number in range(repetitions):
                rng = np.random.default_rng([place, labelled, number])
                tables = sampled(rng, case.judges, images=IMAGES, labelled=labelled)
                found = checks(tables, case.calibrated)
                hits = {side: count + warned(found[side]) for side, count in hits.items()}
            rows.append(
                {
                    "defect": case.name,
                    "labelled images of each side": labelled,
                    "warning for the baseline": f"{hits[BASE] / repetitions:.0%}",
                    "warning for the method": f"{hits[METHOD] / repetitions:.0%}",
                }
            )
    return pd.DataFrame(rows)
