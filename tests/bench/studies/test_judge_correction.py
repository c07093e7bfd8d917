"""The study of the judge correction on a tiny pool: the same code and the same main conclusions."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.paths import ROOT
from helpers.studies import synthetic_pool

from evenhand.bench.mini.law import TAXONOMIES
from evenhand.bench.studies.correction_page import fill, write_figures
from evenhand.bench.studies.judge_correction import JUDGES, main, recalls, summary, transport
from evenhand.bench.studies.pool import Pool
from evenhand.bench.studies.simulation import STRATA, Design, Setting, simulate
from evenhand.bench.studies.truth import models
from evenhand.metrics.estimation.panel import PANEL

SHIPPED = ROOT / "docs" / "studies" / "judge-correction"
REPETITIONS = 20
SMALL = Design("one template", 1, 60)
FEWER = JUDGES | {"clip-weak": STRATA[:2]}
"""Forty matrices per audit take half of the time, so only one test computes some."""


@pytest.fixture(scope="module")
def pool():
    return synthetic_pool()


@pytest.fixture(scope="module")
def runs(pool):
    return simulate(Setting(pool, pool, (SMALL,), FEWER, draws=100, seed=0), range(REPETITIONS))


@pytest.fixture(scope="module")
def found(runs):
    columns = ["judge", "correction", "attributes", "metric", "model"]
    return summary(runs).set_index(columns).sort_index()


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


@pytest.mark.slow
def test_simulated_audits_follow_the_law_of_their_model(pool, runs):
    perfect = Pool(pool.table.assign(**{f"{PANEL}/{name}": pool.table[name] for name in TAXONOMIES}))
    setting = Setting(perfect, perfect, (replace(SMALL, seeds=400),), {PANEL: ()}, draws=100, seed=3)
    seen = simulate(setting, range(1))
    assert set(seen["model"]) == set(models()) and set(seen["correction"]) == {"none"}
    np.testing.assert_allclose(seen["value"], seen["truth"], atol=0.02)


@pytest.mark.slow
def test_estimates_do_not_depend_on_workers_or_blocks(pool, runs):
    setting = Setting(pool, pool, (SMALL,), FEWER, draws=100, seed=0)
    again = simulate(setting, [1])
    one = runs[runs["repetition"] == 1].reset_index(drop=True)
    pd.testing.assert_series_equal(again["value"], one["value"])


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
