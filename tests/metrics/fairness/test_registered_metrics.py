"""Optional metrics: measured from tables, each equals its function of the true counts."""

import numpy as np
import pandas as pd
import pytest
from helpers.metrics import CELLS, TAXONOMY, World, one, pick, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st

from evenhand.metrics import catalog
from evenhand.metrics import representation as r
from evenhand.metrics.base import Metric, spread
from evenhand.metrics.estimation.measure import MeasurePlan, measure
from evenhand.metrics.fairness import association as a
from evenhand.metrics.fairness.intersectional import marginal_shares, total_correlation
from evenhand.metrics.statistics.resampling import Resamples, arrange
from evenhand.metrics.statistics.uncertainty import interval, stream

EXTRA = tuple(m for m in vars(catalog).values() if isinstance(m, Metric) and m not in catalog.DEFAULT)
INTERVALS = {metric.name for metric in EXTRA if metric.interval}
JOBS = 4
LABOUR = {f"job{number:02d}": [0.7, 0.3] for number in range(JOBS)} | {"job03": [0.5, 0.5]}


@pytest.fixture(scope="module")
def world():
    world = World(3)
    shares = world.rng.dirichlet(np.ones(CELLS), size=JOBS)
    world.neutral("base", shares, templates=2, seeds=30)
    for cell, (asked, other) in enumerate((("woman", 3), ("man", 0))):
        own = 3 * cell
        shown = [own] * 16 + [other] * (2 + 2 * cell) + [None] * cell
        world.draw(
            "base", "explicit", prompt_id=f"x{cell}", concept="job00", cell=f"gender={asked}", cells=shown
        )
    return world


@pytest.fixture(scope="module")
def estimates(world):
    labels = world.labels("a")
    missing = [key for key, cell in world.truth.items() if cell is None]
    # an image without a person is undetermined
    blank = [rows_of("a", missing, name, [len(groups)] * len(missing)) for name, groups in TAXONOMY.items()]
    plan = MeasurePlan(
        attributes=TAXONOMY,
        joints=(("gender", "tone"),),
        panel=("a",),
        target={"gender": LABOUR},
        metrics=EXTRA,
        draws=200,
    )
    return measure(world.images(), pd.concat([labels, *blank], ignore_index=True), plan=plan).estimates[
        "base"
    ]


def truth(world, attributes=None):
    """Shares of the cells, or of women and men, by occupation."""
    counts = np.zeros((JOBS, CELLS))
    for row in world.images().query("kind == 'neutral'").itertuples():
        counts[int(row.concept[3:]), world.truth[row.key]] += 1
    shares = r.shares_of(counts)
    return shares if attributes == "gender*tone" else marginal_shares(shares, (2, 3))[0]


def value(estimates, metric, attributes="gender", kind="neutral"):
    row = one(estimates, metric=metric, attributes=attributes, kind=kind, judge="panel", concept="", group="")
    assert row.low <= row.value <= row.high or metric not in INTERVALS
    return row.value


def test_distances_are_means_over_occupations(world, estimates):
    shares, target = truth(world), np.array(list(LABOUR.values()))
    assert value(estimates, "fd_l2") == pytest.approx(r.fd_l2(shares, target).mean())
    assert value(estimates, "js_divergence") == pytest.approx(r.js_divergence(shares, target).mean())
    assert value(estimates, "bigbench_implicit") == pytest.approx(r.bigbench_score(shares, target).mean())
    assert value(estimates, "min_max_ratio") == pytest.approx(r.min_max_ratio(shares).mean())
    mad = r.mean_absolute_deviation(shares).mean()
    assert value(estimates, "mean_absolute_deviation") == pytest.approx(mad)


def test_the_two_parts_of_a_joint_imbalance_add_up(world, estimates):
    shares = truth(world, "gender*tone")
    parts = value(estimates, "marginal_imbalance", "gender*tone") + total_correlation(shares, (2, 3)).mean()
    assert parts == pytest.approx(r.kl_divergence(shares, r.uniform(CELLS)).mean())
    assert not pick(estimates, metric="marginal_imbalance", attributes="gender")


def test_mutual_information_matches_its_function(world, estimates):
    for attributes in ("gender", "gender*tone"):
        expected = float(a.mutual_information(truth(world, attributes)))
        assert value(estimates, "mutual_information", attributes) == pytest.approx(expected)


def test_amplification_leaves_out_occupations_with_a_uniform_target(world, estimates):
    women, labour = truth(world)[:3, 0], np.full(3, 0.7)
    expected = float(a.stereotype_amplification(women, labour))
    assert value(estimates, "stereotype_amplification") == pytest.approx(expected)
    even = one(
        estimates,
        metric="stereotype_amplification",
        attributes="tone",
        kind="neutral",
        judge="panel",
        concept="",
    )
    assert np.isnan(even.value)


def test_fidelity_gap_and_override_match_direct_counts(estimates):
    # 16 of 18 images that ask for women show them, and 16 of 21 (one undetermined) that ask for men
    assert value(estimates, "fidelity_gap", kind="explicit") == pytest.approx(16 / 18 - 16 / 21)
    assert value(estimates, "override", kind="explicit") == pytest.approx((2 / 18 + 4 / 20) / 2)
    row = one(estimates, metric="override", attributes="gender", kind="explicit", judge="panel", group="man")
    assert row.value == pytest.approx(4 / 20)


def test_spread_skips_missing_rows():
    assert spread(np.array([[0.2, np.nan, 0.9], [np.nan] * 3])) == pytest.approx([0.7, np.nan], nan_ok=True)


@settings(max_examples=20)
@given(st.integers(0, 2**20))
def test_copies_within_a_leaf_do_not_narrow_intervals(seed):
    rng = np.random.default_rng(seed)
    cluster, leaf = (list(map(str, x.ravel())) for x in np.indices((3, 4)))
    codes = rng.integers(0, 2, size=12)

    def interval_of(times):
        layout = arrange(
            range(12 * times), row=["a"] * 12 * times, cluster=cluster * times, leaf=leaf * times
        )
        resamples = Resamples.of(layout, draws=200, rng=stream(0, "x"), rows=False)
        counts = resamples.within(layout.counts(np.tile(codes, times), 2))[..., :2]
        return interval(r.shares_of(counts)[:, 0, 0])

    assert interval_of(2) == pytest.approx(interval_of(1), abs=1e-12)
