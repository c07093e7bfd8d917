"""Every built-in metric has a complete card, keeps its range, and is registered under its name."""

import re
import tomllib

import numpy as np
import pytest
from helpers.metrics import CELLS, SHAPE
from helpers.paths import ROOT

from evenhand.metrics import catalog
from evenhand.metrics.base import LabelMetric, Metric, Tally
from evenhand.metrics.fairness.intersectional import marginal_shares
from evenhand.metrics.representation import multinomial_noise, shares_of, uniform
from evenhand.metrics.terms import KINDS, METRIC_TERMS

BUILT_IN = {metric.name: metric for metric in vars(catalog).values() if isinstance(metric, Metric)}
OF_LABELS = [metric for metric in BUILT_IN.values() if isinstance(metric, LabelMetric)]

EVEN = uniform(CELLS)
LEANING = np.array([0.3, 0.2, 0.2, 0.1, 0.1, 0.1])


def tally(counts, undetermined=0.0, target=EVEN):
    shares = shares_of(np.asarray(counts, float))
    n = np.sum(counts, axis=-1)
    depicted = np.divide(n, n + undetermined, out=np.full(n.shape, np.nan), where=n + undetermined > 0)
    expected = np.zeros(shares.shape[-2], int)
    return Tally(shares, shares, multinomial_noise(shares, n), depicted, target, SHAPE, expected)


@pytest.mark.parametrize("metric", BUILT_IN.values(), ids=lambda metric: metric.name)
def test_card_is_complete(metric):
    for text in (metric.name, metric.title, metric.unit, metric.formula, metric.cannot_tell, metric.source):
        assert text.strip()
    assert metric.better in ("lower", "higher", "") and metric.low < metric.high
    assert set(metric.kinds) <= set(KINDS)


@pytest.mark.parametrize("metric", OF_LABELS, ids=lambda metric: metric.name)
def test_values_keep_their_range_and_shape(metric):
    rng = np.random.default_rng(0)
    tables = rng.integers(0, 5, size=(200, 4, CELLS)) * rng.integers(0, 2, size=(200, 4, CELLS))
    tables[:, 0] = np.eye(CELLS, dtype=int)[0] * 10
    target = LEANING if metric is catalog.stereotype_amplification else EVEN
    values = metric.finish(metric.of(tally(tables, undetermined=1.0, target=target)))
    assert values.shape == ((200, 4, CELLS) if metric.by_group else (200, 4))
    present = values[~np.isnan(values)]
    assert len(present) and (present >= metric.low - 1e-9).all() and (present <= metric.high + 1e-9).all()


@pytest.mark.parametrize("metric", OF_LABELS, ids=lambda metric: metric.name)
def test_no_image_gives_nan(metric):
    assert np.isnan(metric.of(tally(np.zeros((1, CELLS))))).all()


@pytest.mark.parametrize("metric", [m for m in OF_LABELS if m.floor], ids=lambda metric: metric.name)
def test_a_fair_table_is_better_than_a_one_sided_one(metric):
    fair, biased = np.full((1, CELLS), 10.0), np.array([[30.0, 0, 0, 0, 0, 30.0]])
    sign = 1 if metric.better == "lower" else -1
    assert (sign * metric.of(tally(fair)) < sign * metric.of(tally(biased))).all()


def test_marginals_are_in_the_order_of_the_attributes():
    joint = np.arange(6) / 15
    gender, tone = marginal_shares(joint, SHAPE)
    assert gender == pytest.approx([3 / 15, 12 / 15]) and tone == pytest.approx([3 / 15, 5 / 15, 7 / 15])


def test_every_metric_is_registered_under_its_name():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    entries = project["project"]["entry-points"]["evenhand.metrics"]
    found = {name: getattr(catalog, entry.partition(":")[2]) for name, entry in entries.items()}
    assert found == BUILT_IN
    assert {metric.name for metric in catalog.DEFAULT} <= set(BUILT_IN)
    assert set(METRIC_TERMS) == set(BUILT_IN)


def test_the_metrics_page_lists_every_metric():
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = [line.split("|")[2:4] for line in page.split("## ")[0].splitlines() if line.startswith("| ")]
    default, optional = (set(re.findall(r"`(\w+)`", " ".join(column))) for column in zip(*rows, strict=True))
    assert default == {metric.name for metric in catalog.DEFAULT}
    assert optional == set(BUILT_IN) - default


def test_metrics_defined_by_evenhand_are_explained_on_the_metrics_page():
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    definitions = page.split("## Definitions")[1].split("\n## ")[0]
    for metric in BUILT_IN.values():
        if "docs/metrics.md" in metric.source:
            assert f"`{metric.name}`" in definitions or metric.name == "share", metric.name
