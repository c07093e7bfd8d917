"""Resampling: known variances, and simulated coverage."""

import numpy as np
import pytest
from helpers.metrics import CELLS, TAXONOMY, World, one

from evenhand.bench.suites.suite import load_suite
from evenhand.metrics import representation as r
from evenhand.metrics.estimation.measure import MeasurePlan, measure
from evenhand.metrics.statistics.resampling import Resamples, arrange
from evenhand.metrics.statistics.uncertainty import interval, recentred, stream

CONCEPTS, TEMPLATES, SEEDS = 30, 5, 6
TARGET = r.uniform(2)


def layout(concepts=CONCEPTS, templates=TEMPLATES, seeds=SEEDS):
    place = [
        (f"{o:02d}", str(t), str(s)) for o in range(concepts) for t in range(templates) for s in range(seeds)
    ]
    row, cluster, leaf = zip(*place, strict=True)
    return arrange(range(len(place)), row=row, cluster=cluster, leaf=leaf)


def resamples(units, *, draws=300, rows=True, where=None):
    return Resamples.of(where or layout(), draws=draws, rng=stream(0, units), rows=rows, units=units)


def test_resampled_leaves_have_the_variance_of_a_share():
    where, codes = layout(1), np.arange(30) % 3 == 0
    drawn = resamples("leaves", draws=40_000, rows=False, where=where).within(
        where.counts(codes.astype(int), 2)
    )
    assert r.shares_of(drawn[..., :2])[:, 0, 0].var() == pytest.approx(1 / 3 * 2 / 3 / 30, rel=0.03)


def test_resampled_clusters_have_the_variance_of_a_mean_over_clusters():
    where, rng = layout(1), stream(0, "codes")
    codes = rng.integers(0, 2, 30)
    drawn = resamples("clusters", draws=40_000, rows=False, where=where).within(where.counts(codes, 2))
    means = codes.reshape(5, 6).mean(axis=1)
    assert r.shares_of(drawn[..., :2])[:, 0, 1].var() == pytest.approx(means.var() / 5, rel=0.03)


def test_resampling_leaves_within_resampled_clusters_counts_noise_twice():
    """Davison and Hinkley 1997, section 3.8: the variance between plus the variance within."""
    where, rng = layout(1), stream(0, "codes")
    codes = rng.integers(0, 2, 30)
    drawn = resamples("nested", draws=40_000, rows=False, where=where).within(where.counts(codes, 2))
    parts = codes.reshape(5, 6)
    expected = parts.mean(axis=1).var() / 5 + parts.var(axis=1).mean() / 30
    assert r.shares_of(drawn[..., :2])[:, 0, 1].var() == pytest.approx(expected, rel=0.03)


def test_a_drawn_concept_keeps_its_images():
    where = layout(4)
    table = where.counts(stream(0, "codes").integers(0, 2, 120), 2)
    found = resamples("leaves", where=where)
    within, across = found.of_both(table)
    assert (across == table.sum(axis=1)[found.picks]).all()
    assert not (within == table.sum(axis=1)).all()


def scored(counts):
    shares, n = r.shares_of(counts), counts.sum(axis=-1)
    return r.squared_deviation(shares, TARGET, r.multinomial_noise(shares, n))


@pytest.fixture(scope="module")
def simulated():
    """Coverage of the interval of mean V, and its mean width over that of an exact interval."""
    where, rng = layout(), stream(0, "models")
    schemes = {units: resamples(units, where=where) for units in ("nested", "leaves")}
    found = {}
    for name, concentration in (("fair", np.inf), ("mild", 20.0), ("biased", 3.0)):
        truth = 0.0 if np.isinf(concentration) else 0.5 / (concentration + 1)
        ends, values = {units: [] for units in schemes}, []
        for _ in range(150):
            share = rng.beta(*[concentration / 2] * 2, CONCEPTS) if truth else np.full(CONCEPTS, 0.5)
            codes = (rng.random((CONCEPTS, TEMPLATES * SEEDS)) < share[:, None]).astype(int).ravel()
            table = where.counts(codes, 2)[..., :2]
            value = scored(table.sum(axis=1)).mean()
            values.append(value)
            for units, drawn in schemes.items():
                draws = recentred(scored(drawn.of_both(table)[1]).mean(axis=-1), value)
                ends[units].append(interval(draws, clusters=CONCEPTS))
        for units, pairs in ends.items():
            low, high = np.array(pairs).T
            width = (high - low).mean() / (2 * 1.96 * np.std(values))
            found[name, units] = ((low <= truth) & (truth <= high)).mean(), width
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fair", "mild", "biased"])
def test_resampling_whole_concepts_gives_intervals_of_the_right_width(simulated, name):
    covered, width = simulated[name, "leaves"]
    assert covered > 0.88 and width == pytest.approx(1, abs=0.15)


@pytest.mark.slow
def test_two_stages_are_too_wide_where_sampling_noise_dominates(simulated):
    widths = [simulated[name, "nested"][1] for name in ("fair", "mild", "biased")]
    assert widths[0] > 2 and widths[1] > 1.4 and widths[0] > widths[1] > widths[2] > 1
    assert all(simulated[name, "nested"][0] >= simulated[name, "leaves"][0] for name in ("fair", "mild"))


def measured(scheme, **options):
    world = World(seed=5)
    world.neutral("base", np.full((20, CELLS), 1 / CELLS), templates=3, seeds=10)
    for group, cell in (("woman", 0), ("man", 3)):
        for concept in ("nurse", "guard", "clerk"):
            cells = world.rng.choice([cell, 3 - cell], p=[0.8, 0.2], size=10)
            prompt = {"prompt_id": f"{group}-{concept}", "concept": concept, "cell": f"gender={group}"}
            world.draw("base", "explicit", cells=cells, **prompt)
    plan = MeasurePlan(attributes=TAXONOMY, panel=("a",), base=None, draws=300, scheme=scheme, **options)
    return measure(world.images(), world.labels("a"), plan=plan).estimates["base"]


@pytest.mark.parametrize("resample_concepts", [True, False])
def test_the_scheme_changes_intervals_and_no_value(resample_concepts):
    both = [measured(scheme, resample_concepts=resample_concepts) for scheme in ("two-stage", "outermost")]
    assert [repr(row.value) for row in both[0]] == [repr(row.value) for row in both[1]]
    key = {"metric": "squared_deviation", "attributes": "gender", "judge": "panel", "concept": ""}
    wide, right = (one(rows, **key) for rows in both)
    assert right.high - right.low < 0.9 * (wide.high - wide.low)
    fidelity = [one(rows, metric="explicit_fidelity", judge="panel", group="") for rows in both]
    assert fidelity[0].low != fidelity[1].low


def test_the_default_scheme_does_not_change_the_suite_digest():
    suite = load_suite("mini-quick")
    assert suite.bootstrap.scheme == "two-stage"
    boot = suite.bootstrap.model_copy(update={"scheme": "outermost"})
    assert suite.model_copy(update={"bootstrap": boot}).digest() != suite.digest()
