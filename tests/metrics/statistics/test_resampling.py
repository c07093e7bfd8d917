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


@pytest.mark.parametrize("units", ["nested", "crossed"])
def test_aggregates_do_not_depend_on_whether_rows_are_reported(units):
    where = layout(4)
    table, found = where.counts(stream(0, "codes").integers(0, 2, 120), 2), resamples(units, where=where)
    ((_, across),) = found.of_each([table])
    ((_, alone),) = found.of_each([table], by_row=False)
    assert (across == alone).all()


def test_values_of_drawn_concepts_are_those_of_their_images():
    where = layout(4)
    table, found = where.counts(stream(0, "codes").integers(0, 2, 120), 2), resamples("leaves", where=where)
    assert list(found.of_each([table], by_row=False)) == [(None, None)]
    expected = r.shares_of(found.of_both(table)[1])[..., 0]
    values = r.shares_of(table.sum(axis=1))[:, 0]
    assert (found.chosen(values[None]) == expected).all()
    # Values that differ between draws, for some draws and for several groups.
    of_draw = np.arange(3)[:, None] + values
    both = found.chosen(np.stack([of_draw, -of_draw]), draws=slice(5, 8))
    assert (both[0] == np.arange(3)[:, None] + expected[5:8]).all() and (both[1] == -both[0]).all()


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


def measured(scheme, *, concepts=20, **options):
    world = World(seed=5)
    world.neutral("base", np.full((concepts, CELLS), 1 / CELLS), templates=3, seeds=10)
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


@pytest.mark.parametrize(("concepts", "scheme"), [(11, "two-stage"), (12, "outermost")])
def test_whole_concepts_are_resampled_from_twelve_concepts_on(concepts, scheme):
    found = [measured(name, concepts=concepts) for name in ("auto", "two-stage", "outermost")]
    auto, *others = ([repr(row) for row in rows if row.kind == "neutral"] for rows in found)
    assert others[0] != others[1] and auto == others[("two-stage", "outermost").index(scheme)]


def test_few_concepts_of_explicit_prompts_are_resampled_with_their_images():
    auto, nested = (
        [repr(row) for row in measured(name) if row.kind == "explicit"] for name in ("auto", "two-stage")
    )
    assert auto == nested


def templated(rng, deviation, *, templates, concepts=30):
    """Images of concepts that share templates; a template moves the share of women in every concept."""
    effects = rng.normal(0, deviation, templates)
    share = np.clip(0.5 + effects + rng.normal(0, 0.05, (concepts, 1)), 0, 1)
    return (rng.random((concepts, templates, 3)) < share[..., None]).astype(int).ravel()


@pytest.mark.slow
@pytest.mark.parametrize(("deviation", "narrow"), [(0.15, 0.75), (0.0, 1.0)])
def test_resampled_templates_give_the_interval_of_sentences_like_these(deviation, narrow):
    """The mean share over concepts, whose true value over all sentences is 0.5."""
    place = [(f"{c:02d}", f"{t:02d}", f"{s}") for c in range(30) for t in range(20) for s in range(3)]
    row, cluster, leaf = zip(*place, strict=True)
    where, rng = arrange(range(len(place)), row=row, cluster=cluster, leaf=leaf), stream(0, "models")
    assert where.crossed
    covered = {"crossed": 0, "leaves": 0}
    drawn = {units: resamples(units, where=where) for units in covered}
    for _ in range(150):
        table = where.counts(templated(rng, deviation, templates=20), 2)[..., :2]
        value = r.shares_of(table.sum(axis=1))[:, 0].mean()
        for units, boot in drawn.items():
            draws = recentred(r.shares_of(boot.of_both(table)[1])[..., 0].mean(axis=-1), value)
            low, high = interval(draws, clusters=boot.clusters)
            covered[units] += low <= 0.5 <= high
    assert covered["crossed"] >= 0.92 * 150
    assert covered["leaves"] <= narrow * 150


def test_templates_are_resampled_only_where_all_concepts_share_them():
    fixed, crossed = (measured("outermost", resample_templates=flag) for flag in (False, True))
    assert [repr(row.value) for row in fixed] == [repr(row.value) for row in crossed]
    for kind, same in (("neutral", False), ("explicit", True)):
        both = [[repr(row) for row in rows if row.kind == kind] for rows in (fixed, crossed)]
        assert (both[0] == both[1]) is same
    assert not arrange(range(2), row=["a", "b"], cluster=["t", "u"], leaf=["0", "0"]).crossed
    assert not arrange(range(2), row=["a", "b"], cluster=["t", "t"], leaf=["0", "0"]).crossed


def test_other_bootstraps_change_the_suite_digest_and_later_defaults_do_not():
    suite = load_suite("mini-quick")
    stated = suite.bootstrap.model_dump()
    assert (stated["scheme"], stated["resample_templates"]) == ("auto", False)
    kept = {name: stated[name] for name in ("draws", "seed", "resample_concepts")}
    assert set(stated) - set(kept) == {"scheme", "resample_templates", "intervals"}
    for change in (
        {"scheme": "outermost"},
        {"scheme": "two-stage"},
        {"resample_templates": True},
        {"intervals": "transformed"},
    ):
        boot = suite.bootstrap.model_copy(update=change)
        assert suite.model_copy(update={"bootstrap": boot}).digest() != suite.digest()
