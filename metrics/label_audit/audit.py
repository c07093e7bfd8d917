"""``audit_labels``: measure the labels of a data frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from itertools import chain

import pandas as pd

from evenhand.bench.errors import EvenhandError, unknown
from evenhand.metrics import catalog
from evenhand.metrics.base import ImageMetric, Metric
from evenhand.metrics.estimation.anchors import confusion_from_anchors
from evenhand.metrics.estimation.measure import MeasurePlan, measure
from evenhand.metrics.label_audit.label_audit import LabelAudit
from evenhand.metrics.label_audit.tables import (
    Attributes,
    Columns,
    Taxonomy,
    check_columns,
    image_table,
    label_table,
    long_labels,
    taxonomy_of,
)
from evenhand.metrics.label_audit.targets import UNIFORM, Wish, target_of
from evenhand.metrics.rows import Measurement

BEFORE, AFTER = "base", "audited"
"""Names of the two methods where the baseline is a separate frame."""

OWN = "method"
"""The column that then names them; anchors of such an audit have it too."""


def audit_labels(
    frame: pd.DataFrame,
    *,
    concept: str,
    attributes: Attributes,
    target: Wish = UNIFORM,
    cluster: str = "",
    base: str | pd.DataFrame | None = None,
    method: str = "",
    image: str = "",
    judge: str = "",
    seed: str = "",
    asked: str = "",
    panel: Sequence[str] | None = None,
    confusion: pd.DataFrame | None = None,
    anchors: pd.DataFrame | None = None,
    metrics: Sequence[str | Metric] = (),
    joints: Sequence[Sequence[str]] | None = None,
    resample_concepts: bool = True,
    draws: int = 2000,
    random_seed: int = 0,
) -> LabelAudit:
    """Shares, distances from the target, intervals and floors of the labels of a data frame.

    The numbers are those of a run of Evenhand with the same labels: means over concepts, intervals of a
    bootstrap that keeps clusters together, and floors of simulated fair models with as many images.

    Args:
        frame: One row per image (and judge), with a column per attribute; or long, with the columns
            ``attribute`` and ``label`` and one row per image, judge and attribute. Missing labels and the
            label ``undetermined`` count as undetermined.
        concept: Column that says what the prompt asked for. Name a column that has the same value for
            prompts whose images belong together, such as the occupation.
        attributes: Names of the perceived attributes, or attribute to all its possible groups. Without
            groups, those of a categorical column or those that occur are taken: name them if a model may
            never draw one.
        target: ``"uniform"``, or attribute to the shares of its groups: ``{"gender": {"woman": 0.5, "man":
            0.5}}``, or to those of every concept.
        cluster: Column of the template of the prompt, or of another unit whose images resemble each other.
        base: The baseline, as a value of the column ``method`` or as a second frame of the same form.
        method: Column of the model or method that made the image; without it, the frame is about one.
        image: Column of the image; needed where several rows are about one image.
        judge: Column of who gave the label; without it, all labels are of one judge.
        seed: Column of the number of the image within its prompt, the same for images from the same noise.
            Without it, images are paired in the order of the frame, as independent ones.
        asked: Column of the groups that the prompt names, ``"gender=woman;race=Black"``; empty for neutral
            prompts.
        panel: The judges that vote; all if ``None``.
        confusion: Confusion counts of the judges, columns ``judge``, ``attributes``, ``truth``, ``label`` and
            ``count``; shares are corrected for the judges' errors with it.
        anchors: True groups of some of the images, of the same form as ``frame`` with its columns ``image``
            and, if there are several, ``method``; the confusion counts are computed from them.
        metrics: Further metrics: names of registered ones, or metrics.
        joints: Joint attributes to measure; all attributes together if ``None``.
        resample_concepts: Whether intervals are about concepts like these; otherwise about these alone.
        draws: Number of bootstrap resamples.
        random_seed: Seed of all random streams.

    Raises:
        EvenhandError: A column, label, judge, metric or group is missing or unknown, methods share no prompt,
            both ``confusion`` and ``anchors`` are given, or an argument is of another type.
    """
    if isinstance(attributes, str):
        raise EvenhandError(
            f"attributes={attributes!r} is one name; pass a list: attributes=[{attributes!r}]"
        )
    frame, method, base = _with_base(frame, method, base)
    columns = Columns(
        concept=concept, image=image, cluster=cluster, method=method, judge=judge, seed=seed, asked=asked
    )
    check_columns(frame, columns)
    long = long_labels(frame, columns, attributes)
    taxonomy = taxonomy_of(frame, long, attributes)
    images, labels = image_table(frame, columns), label_table(long, taxonomy)
    judges = sorted(labels["judge"].unique())
    voting = tuple(judges if panel is None else panel)
    together = [tuple(taxonomy)] if joints is None and len(taxonomy) > 1 else map(tuple, joints or ())
    plan = MeasurePlan(
        attributes=taxonomy,
        panel=voting,
        joints=tuple(together),
        non_voting_judges=tuple(name for name in judges if name not in voting),
        base=base,
        metrics=_metrics(metrics),
        draws=draws,
        seed=random_seed,
        resample_concepts=resample_concepts,
    )
    if anchors is not None:
        if confusion is not None:
            raise EvenhandError("confusion and anchors were both given; pass one of them")
        known = _truth(anchors, columns, taxonomy)
        confusion = confusion_from_anchors(labels, known, taxonomy=taxonomy, members=voting)
    concepts = list(images.loc[images["kind"] == "neutral", "concept"].unique())
    plan = replace(
        plan,
        target=target_of(target, taxonomy=taxonomy, sets=plan.attribute_sets(), concepts=concepts),
        confusion=plan.confusion if confusion is None else confusion,
    )
    return LabelAudit(measure_each(images, labels, plan=plan), plan)


def _truth(anchors: pd.DataFrame, columns: Columns, taxonomy: Taxonomy) -> pd.DataFrame:
    """The anchor table of a frame of true groups."""
    if not columns.image:
        raise EvenhandError("anchors need a column that names their images; pass image='COLUMN'")
    named = replace(columns, judge="", concept=columns.image, cluster="", seed="", asked="")
    check_columns(anchors, named, what="the frame of anchors")
    return long_labels(anchors, named, list(taxonomy)).rename(columns={"judge": "source"})


def _with_base(
    frame: pd.DataFrame, method: str, base: str | pd.DataFrame | None
) -> tuple[pd.DataFrame, str, str | None]:
    """The frame with the baseline's rows, the column of the method, and the name of the baseline."""
    if isinstance(base, str) and not method:
        raise EvenhandError(f"base={base!r} names a method; pass method='COLUMN', or base as a data frame")
    if not isinstance(base, pd.DataFrame):
        return frame, method, base
    if method:
        raise EvenhandError("base is a data frame and method names a column; pass one of them")
    both = [base.assign(**{OWN: BEFORE}), frame.assign(**{OWN: AFTER})]
    return pd.concat(both, ignore_index=True), OWN, BEFORE


def _metrics(further: Sequence[str | Metric]) -> tuple[Metric, ...]:
    """The metrics of labels that every suite has, and further ones."""
    own = [metric for metric in catalog.DEFAULT if not isinstance(metric, ImageMetric)]
    registered = {entry.name: entry for entry in entry_points(group="evenhand.metrics")}
    found = {metric.name: metric for metric in own}
    for metric in further:
        if isinstance(metric, str):
            if metric not in registered:
                raise unknown("metric", metric, registered)
            metric = registered[metric].load()
        found[metric.name] = metric
    return tuple(found.values())


def measure_each(images: pd.DataFrame, labels: pd.DataFrame, *, plan: MeasurePlan) -> Measurement:
    """The measurement of methods that need not have the same number of images.

    Estimates and coverage of a method are of all its images. Differences, ranks, losses and agreement are of
    the prompts and seeds that all methods have, which a note says.

    Raises:
        EvenhandError: Methods share no prompt and seed.
    """
    place = ["prompt_id", "seed_index"]
    methods = images["method"].nunique()
    shared = images[images.groupby(place)["method"].transform("nunique") == methods]
    if len(shared) == len(images):
        return measure(images, labels, plan=plan)
    if shared.empty:
        raise EvenhandError("the methods have no prompt in common; audit them separately")
    common = measure(shared, labels, plan=plan)
    alone = [
        measure(own, labels, plan=replace(plan, base=None)) for _, own in images.groupby("method", sort=True)
    ]
    note = f"differences are of {len(shared) // methods} images that each method has in common"
    return replace(
        common,
        estimates={name: rows for one in alone for name, rows in one.estimates.items()},
        coverage={name: row for one in alone for name, row in one.coverage.items()},
        notes=list(dict.fromkeys([note, *chain.from_iterable(one.notes for one in alone)])),
    )
