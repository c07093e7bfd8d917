"""Alignment by perceived group: groups are compared on the same concepts, and the mean stays as it was."""

import numpy as np
import pandas as pd
import pytest
from helpers.metrics import TAXONOMY, World, one, pick

from evenhand.metrics.estimation.measure import MeasurePlan, measure

WOMAN, MAN = 0, 3
"""Cells of a light-skinned woman and man."""


def measured(concepts, *, bonus=2.0, noise=0.0):
    """Estimates of images of these cells by concept, whose scorer likes women better by ``bonus``.

    Concepts differ in alignment by 3 points each, more than groups do.
    """
    world = World()
    for place, cells in enumerate(concepts):
        world.draw("base", "neutral", prompt_id=f"n{place}", concept=f"job{place}", template="t", cells=cells)
    images = world.images()
    concept = images["concept"].str[3:].astype(int).to_numpy()
    women = np.array([world.truth[key] == WOMAN for key in images["key"]])
    images["alignment"] = 20.0 + 3 * concept + bonus * women
    images["alignment"] += noise * np.random.default_rng(0).standard_normal(len(images))
    labels = pd.concat([world.labels(name) for name in ("a", "b")], ignore_index=True)
    plan = MeasurePlan(attributes=TAXONOMY, panel=("a", "b"), draws=200)
    return measure(images, labels, plan=plan)


def by_group(found, attribute="gender"):
    return {row.group: row for row in pick(found.estimates["base"], metric="alignment", attributes=attribute)}


def test_groups_are_compared_on_concepts_that_show_all_of_them():
    mixed, women_only = [WOMAN, MAN, MAN, MAN], [WOMAN] * 4
    rows = by_group(measured([mixed, mixed, women_only]))
    assert rows["woman"].value == pytest.approx(23.5) and rows["man"].value == pytest.approx(21.5)
    assert (rows["woman"].n, rows["man"].n) == (2, 6), "the concept without men is left out for both"
    assert {(row.judge, row.kind, row.concept) for row in rows.values()} == {("panel", "neutral", "")}


def test_group_that_is_never_depicted_is_not_estimable_and_neither_are_the_others():
    rows = by_group(measured([[WOMAN, MAN]] * 3), "tone")
    assert [np.isnan(row.value) and row.n == 0 for row in rows.values()] == [True] * 3


def test_single_image_of_a_group_has_no_interval():
    rows = by_group(measured([[WOMAN, MAN, MAN]], noise=1.0))
    assert rows["woman"].n == 1 and np.isnan(rows["woman"].low) and np.isnan(rows["woman"].high)
    assert rows["man"].n == 2 and rows["man"].low < rows["man"].high


def test_interval_contains_the_mean_if_the_scorer_prefers_no_group():
    cells = [[WOMAN, MAN] * 15] * 20
    found = measured(cells, bonus=0.0, noise=1.0)
    rows = by_group(found)
    mean = one(found.estimates["base"], metric="alignment", attributes="", concept="")
    for row in rows.values():
        assert row.low < mean.value < row.high
    assert rows["woman"].n + rows["man"].n == mean.n


def test_mean_alignment_is_not_ranked_or_compared_by_group():
    world = World()
    for method in ("base", "edited"):
        world.neutral(method, np.full((3, 6), 1 / 6))
    labels = pd.concat([world.labels(name) for name in ("a", "b")], ignore_index=True)
    plan = MeasurePlan(attributes=TAXONOMY, panel=("a", "b"), draws=100, base="base")
    found = measure(world.images(), labels, plan=plan)
    compared = [row for row in found.differences if row.metric == "alignment"]
    assert compared and {row.attributes for row in compared} == {""}
    assert {row.attributes for row in pick(found.ranks["base"], metric="alignment")} == {""}
