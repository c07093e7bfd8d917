"""Alignment by perceived group: how far the scorer itself prefers images of some groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from evenhand.metrics import catalog
from evenhand.metrics.estimation.encode import Study
from evenhand.metrics.estimation.panel import PANEL
from evenhand.metrics.estimation.score import Series, score_images
from evenhand.metrics.rows import EstimateRow
from evenhand.metrics.statistics.resampling import Layout, Resamples
from evenhand.metrics.statistics.threads import in_threads

KIND = "neutral"


def with_groups(
    series: Iterable[Series], study: Study, known: Mapping[str, tuple[Layout, Resamples]]
) -> Iterator[Series]:
    """The series, that of alignment on neutral prompts with the estimates of every group among its rows.

    An image scorer is trained on captioned images and may score one group higher than another for the same
    prompt. A method that changes who is depicted then changes the mean alignment even if every image fits its
    prompt as well as before. The estimates by group show how large that effect can be. They are not compared
    or ranked.

    Args:
        series: Series of image metrics.
        study: The tables.
        known: Kind of prompts to its images and their resamples, which the mean alignment uses too.
    """
    for one in series:
        if one.metric is not catalog.alignment or one.estimate.kind != KIND:
            yield one
            continue
        tasks = [
            partial(_estimate, one, study, attribute, code, *known[KIND])
            for attribute, groups in study.taxonomy.items()
            if (PANEL, attribute) in study.codes
            for code in range(len(groups))
        ]
        yield replace(one, by_row=(*one.by_row, *in_threads(tasks)))


def _estimate(
    series: Series, study: Study, attribute: str, code: int, layout: Layout, resamples: Resamples
) -> EstimateRow:
    """The mean alignment of the images that the panel perceives as one group, over comparable concepts."""
    method = study.methods.index(series.method)
    codes = study.codes[PANEL, attribute][method, layout.slots]
    values = study.columns[catalog.alignment.column][method, layout.slots]
    usable = _comparable(np.where(np.isfinite(values), codes, -1), len(study.taxonomy[attribute]), layout)
    found = score_images(
        catalog.alignment,
        np.where(usable & (codes == code), values, np.nan),
        method=series.method,
        kind=KIND,
        layout=layout,
        resamples=resamples,
        by_row=False,
    )
    row, group = found.estimate, study.taxonomy[attribute][code]
    # Resampling so few images shows no variation, so that there is no interval.
    ends = {"low": np.nan, "high": np.nan} if row.low == row.high else {}
    return row.model_copy(update={"attributes": attribute, "group": group, "judge": PANEL} | ends)


def _comparable(codes: NDArray[np.int64], groups: int, layout: Layout) -> NDArray[np.bool_]:
    """``(n,)``: whether the image's concept has a scored image of every group.

    Groups appear in different concepts, and concepts differ in alignment. Concepts that lack a group are left
    out for all groups, so that the groups are compared on the same concepts.
    """
    present = np.stack(
        [np.bincount(layout.row[codes == code], minlength=len(layout.names)) > 0 for code in range(groups)]
    )
    every: NDArray[np.bool_] = np.asarray(present.all(axis=0))
    return every[layout.row]
