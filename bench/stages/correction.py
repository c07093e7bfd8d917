"""Tests the correction of a measurement on the images that people labelled."""

from __future__ import annotations

import pandas as pd

from evenhand.bench.stages.strata import stereotypes
from evenhand.metrics.estimation.anchors import check_anchors
from evenhand.metrics.estimation.correction_checks import CheckPlan, correction_checks
from evenhand.metrics.estimation.measure import MeasurePlan
from evenhand.metrics.estimation.panel import PANEL
from evenhand.metrics.rows import CorrectionCheck
from evenhand.metrics.table import PERSON_KINDS


def checks_of(
    images: pd.DataFrame,
    labels: pd.DataFrame,
    anchors: pd.DataFrame | None,
    *,
    plan: MeasurePlan,
    other_images: bool,
) -> dict[str, CorrectionCheck]:
    """What labels of people say about the correction of every method; empty without labels or correction.

    Args:
        images: The image table.
        labels: Labels of the judges and the panel.
        anchors: Labels of people; those of images that are not in the table are ignored.
        plan: The settings of the measurement.
        other_images: Whether the confusion table of the plan was measured on other images than these anchors.
    """
    if anchors is None or plan.confusion.empty:
        return {}
    people = images[(images["status"] == "ok") & images["kind"].isin(PERSON_KINDS)]
    known = anchors[anchors["key"].isin(set(people["key"]))]
    if not (known["label"].fillna("") != "").any():
        return {}
    sides = stereotypes()
    stereotype = people["concept"].map(sides).fillna("").where(people["kind"] == "neutral", "")
    votes = labels[labels["judge"] == PANEL].astype(
        {"key": str, "attribute": str, "label": str, "status": str}
    )
    return correction_checks(
        people[["method", "key", "kind"]].assign(stereotype=stereotype),
        votes,
        check_anchors(known, taxonomy=plan.attributes),
        plan=CheckPlan(
            taxonomy=plan.attributes,
            confusion=plan.confusion,
            other_images=other_images,
            base=plan.base,
            draws=plan.draws,
            seed=plan.seed,
        ),
    )
