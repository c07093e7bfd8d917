"""The study of the judge correction on a tiny pool: the same code and the same main conclusions."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.paths import ROOT

from evenhand.bench.errors import EvenhandError
from evenhand.bench.mini.law import TAXONOMIES, law, occupations
from evenhand.bench.studies.correction_page import fill, write_figures
from evenhand.bench.studies.judge_correction import JUDGES, main, recalls, summary, transport
from evenhand.bench.studies.pool import TRUTH, Pool
from evenhand.bench.studies.simulation import (
    STRATA,
    Design,
    Setting,
    Stratified,
    counted,
    neutral_views,
    simulate,
)
from evenhand.bench.studies.truth import ALL, models, shares, sides, true_value
from evenhand.metrics.correction.calibration import Refusal, calibrate
from evenhand.metrics.estimation.panel import PANEL
from evenhand.metrics.estimation.tallies import Reading

SHIPPED = ROOT / "docs" / "studies" / "judge-correction"
REPETITIONS = 20
SMALL = Design("one template", 1, 60)
FEWER = JUDGES | {"clip-weak": STRATA[:2]}
"""Forty matrices per audit take half of the time, so only one test computes some."""


@pytest.fixture(scope="module")
def pool():
    """Synthetic labels: uniform panel errors; those of ``clip-weak`` depend on the occupation's side."""
    rng = np.random.default_rng(0)
    sizes = [len(groups) for groups in TAXONOMIES.values()]
    cells = np.array(np.unravel_index(np.arange(np.prod(sizes)), sizes)).T
    rows = [(number, *cell) for number in range(len(occupations())) for cell in cells for _ in range(8)]
    table = pd.DataFrame(rows, columns=list(TRUTH))
    side = sides()[table["occupation"]]
    wrong = {
        "clip-xs": np.full(len(table), 0.1),
        PANEL: np.full(len(table), 0.06),
        "clip-weak": np.where(table["gender"] == side, 0.30, 0.05),
    }
    for judge, rate in wrong.items():
        for attribute, size in zip(TAXONOMIES, sizes, strict=True):
            errs = rng.random(len(table)) < (rate if attribute == "gender" else 0.02)
            table[f"{judge}/{attribute}"] = (table[attribute] + errs) % size
    return Pool(table)


@pytest.fixture(scope="module")
def runs(pool):
    return simulate(Setting(pool, pool, (SMALL,), FEWER, draws=100, seed=0), range(REPETITIONS))


@pytest.fixture(scope="module")
def found(runs):
    columns = ["judge", "correction", "attributes", "metric", "model"]
    return summary(runs).set_index(columns).sort_index()


def every_seventh(pool):
    return {name: images[::7] for name, images in pool.itself.items()}


def test_true_values_follow_the_sampling_law():
    everyone = np.arange(len(occupations()))
    for name in TAXONOMIES:
        expected = law((name,))
        np.testing.assert_allclose(shares("base", (name,), everyone), expected, atol=1e-12)
        np.testing.assert_allclose(
            shares("debiased", (name,), everyone), 0.25 * expected + 0.75 / expected.shape[1], atol=1e-12
        )
    women = law(("gender",))[:, 0]
    assert true_value("share", "base", ("gender",), everyone) == pytest.approx(women.mean())
    assert true_value("rms_delta", "base", ("gender",), everyone) == pytest.approx(
        np.sqrt(((2 * women - 1) ** 2).mean())
    )
    assert true_value("rms_delta", "debiased", ALL, everyone) == pytest.approx(
        true_value("rms_delta", "base", ALL, everyone) / 4
    )


@pytest.mark.slow
def test_simulated_audits_follow_the_law_of_their_model(pool, runs):
    perfect = Pool(pool.table.assign(**{f"{PANEL}/{name}": pool.table[name] for name in TAXONOMIES}))
    setting = Setting(perfect, perfect, (replace(SMALL, seeds=400),), {PANEL: ()}, draws=100, seed=3)
    seen = simulate(setting, range(1))
    assert set(seen["model"]) == set(models()) and set(seen["correction"]) == {"none"}
    np.testing.assert_allclose(seen["value"], seen["truth"], atol=0.02)


@pytest.mark.slow
def test_the_correction_recovers_the_truth_that_raw_labels_miss(found):
    for judge in ("clip-xs", PANEL):
        naive = found.loc[(judge, "none", "gender", "rms_delta", "base")]
        corrected = found.loc[(judge, "pooled", "gender", "rms_delta", "base")]
        assert abs(naive["bias"]) > 0.05 > 0.02 > abs(corrected["bias"])
        assert corrected["coverage"] >= 0.85 > naive["coverage"]
        assert corrected["repetitions"] == REPETITIONS


@pytest.mark.slow
def test_only_strata_correct_errors_that_depend_on_the_occupation(pool, found):
    setting = Setting(pool, pool, (SMALL,), {"clip-weak": STRATA[2:]}, draws=100, seed=0)
    single = summary(simulate(setting, range(5))).query(
        "correction == 'occupation' and metric == 'rms_delta'"
    )
    assert single["occupations"].min() > 30
    assert single.set_index("model")["bias"]["base"] < 0.05
    key = ("gender", "rms_delta", "base")
    assert abs(found.loc[("clip-weak", "pooled", *key)]["bias"]) > 0.05
    assert abs(found.loc[("clip-weak", "side", *key)]["bias"]) < 0.02


@pytest.mark.slow
def test_exchanged_labels_keep_the_matrix_and_are_independent_of_the_occupation(pool):
    images = np.tile(np.arange(len(pool.table)), 20)
    sources = pool.sources(images, exchanged=True, rng=np.random.default_rng(2))
    side = sides()[pool.table["occupation"].to_numpy()[images]]
    for judge, name in (("clip-weak", "gender"), (PANEL, "tone")):
        truth = pool.truth((name,), pool.itself)
        assert (pool.truth((name,), sources) == truth[images]).all()
        label = pool.labels(judge, (name,), sources)
        whole = pd.crosstab(truth, pool.labels(judge, (name,), pool.itself), normalize="index")
        for part in (0, 1):
            mine = side == part
            table = pd.crosstab(truth[images][mine], label[mine], normalize="index")
            np.testing.assert_allclose(table, whole, atol=0.02)


@pytest.mark.slow
def test_a_transportable_correction_is_unbiased_for_any_judge(pool):
    setting = Setting(pool, pool, (SMALL,), {"clip-weak": ("pooled",)}, draws=100, seed=0, exchanged=True)
    found = summary(simulate(setting, range(REPETITIONS // 2)))
    gender = found[(found["attributes"] == "gender") & (found["metric"] == "rms_delta")]
    bias = gender.set_index(["model", "correction"])["bias"]
    assert abs(bias["base", "none"]) > 0.1 > 0.02 > abs(bias["base", "pooled"])
    assert abs(bias["debiased", "pooled"]) < 0.02


@pytest.mark.slow
def test_the_transport_test_flags_only_the_weak_judge(pool):
    share = transport(pool, JUDGES, REPETITIONS).set_index("judge")["share"]
    assert share["clip-weak"] == 1
    assert share["clip-xs"] < 0.3 and share[PANEL] < 0.3


@pytest.mark.slow
def test_strata_of_equal_matrices_give_the_plain_correction_row_by_row(pool):
    setting = Setting(pool, pool, (SMALL,), {}, draws=100, seed=0)
    view = neutral_views(setting, SMALL, first=0)[0]
    table = counted(pool, every_seventh(pool), PANEL, ("gender",))
    known = calibrate(table, judge=PANEL, attributes=("gender",), taxonomy=TAXONOMIES, draws=100, seed=0)
    plain = Reading(view, PANEL, known, 0)
    strata = Stratified.of(view, PANEL, (known, known), sides())
    counts = np.random.default_rng(0).integers(1, 40, size=(100, len(occupations()), 3)).astype(float)
    for ours, theirs in (
        (strata.point(counts[0]), plain.point(counts[0])),
        (strata.resampled(counts), plain.resampled(counts)),
        (strata.supposed(counts), plain.supposed(counts)),
    ):
        for name in ("shares", "unbiased", "noise", "depicted", "target"):
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name))


@pytest.mark.slow
def test_an_occupation_without_a_matrix_is_excluded(pool):
    setting = Setting(pool, pool, (SMALL,), {}, draws=100, seed=0)
    view = neutral_views(setting, SMALL, first=0)[0]
    table = counted(pool, every_seventh(pool), PANEL, ("gender",))
    known = calibrate(table, judge=PANEL, attributes=("gender",), taxonomy=TAXONOMIES, draws=100, seed=0)
    strata = Stratified.of(view, PANEL, (Refusal("few"), known), sides())
    counts = np.random.default_rng(0).integers(1, 40, size=(len(occupations()), 3)).astype(float)
    point, plain = strata.point(counts), Reading(view, PANEL, known, 0).point(counts)
    there = sides() == 1
    assert np.isnan(point.unbiased[~there]).all() and np.isnan(point.noise[~there]).all()
    np.testing.assert_allclose(point.unbiased[there], plain.unbiased[there])
    assert strata.corrected.tolist() == np.flatnonzero(there).tolist()


@pytest.mark.slow
def test_estimates_do_not_depend_on_workers_or_blocks(pool, runs):
    setting = Setting(pool, pool, (SMALL,), FEWER, draws=100, seed=0)
    again = simulate(setting, [1])
    one = runs[runs["repetition"] == 1].reset_index(drop=True)
    pd.testing.assert_series_equal(again["value"], one["value"])


@pytest.mark.slow
def test_confusion_counts_every_anchor(pool):
    table = counted(pool, every_seventh(pool), PANEL, ("gender",))
    assert table["count"].sum() == len(every_seventh(pool)["gender"])


@pytest.mark.slow
def test_a_pool_with_missing_cells_is_rejected(pool):
    torn = Pool(pool.table[pool.table["occupation"] + pool.table["gender"] > 0].reset_index(drop=True))
    with pytest.raises(EvenhandError, match="no images of 6 pairs of occupation and cell"):
        torn.pick(np.zeros(3, int), np.zeros(3, int), rng=np.random.default_rng(0))


@pytest.mark.slow
def test_figures_are_drawn_from_the_tables_alone(pool, runs, tmp_path):
    tables = {
        "estimates": pd.concat([summary(runs).assign(pool=name) for name in ("renders", "exchanged")]),
        "transport": transport(pool, JUDGES, 2),
        "recalls": recalls(pool, pool),
    }
    write_figures(tables, tmp_path)
    for name in ("errors", "rms-delta", "coverage"):
        assert (tmp_path / f"{name}.svg").read_text().startswith("<svg")
    page = fill("a\n<!-- renders -->\nold\n<!-- end -->\nb\n", tables)
    assert page.startswith("a\n<!-- renders -->\n| attributes |") and page.endswith("<!-- end -->\nb\n")
    assert "old" not in page


@pytest.mark.slow
def test_the_command_writes_every_table_and_figure_from_the_shipped_pools(tmp_path):
    for name in ("renders.csv", "drawn.csv"):
        shutil.copyfile(SHIPPED / name, tmp_path / name)
    page = tmp_path / "page.md"
    page.write_text("<!-- judges -->\n<!-- end -->\n", encoding="utf-8")
    main(out=tmp_path, page=page, repetitions=2, draws=100, workers=1)
    for name in ("renders.csv", "drawn.csv", "recalls.csv"):
        assert (tmp_path / name).read_text() == (SHIPPED / name).read_text(), name
    estimates = pd.read_csv(tmp_path / "estimates.csv")
    assert set(estimates["pool"]) == {"exchanged", "renders", "drawn"}
    assert {path.stem for path in tmp_path.glob("*.svg")} == {"errors", "rms-delta", "coverage"}
    assert "| renders | panel vote | 2,880 |" in page.read_text()


def test_the_page_matches_the_published_tables():
    tables = {name: pd.read_csv(SHIPPED / f"{name}.csv") for name in ("estimates", "transport", "recalls")}
    page = (ROOT / "docs" / "judge-correction.md").read_text(encoding="utf-8")
    assert fill(page, tables) == page
    corrected = tables["estimates"].query(
        "pool == 'renders' and judge == @PANEL and correction == 'pooled' and metric == 'rms_delta'"
    )
    assert (corrected["bias"].abs() < 0.02).all() and (corrected["repetitions"] >= 200).all()
