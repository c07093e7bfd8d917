"""The page on reproduction is made of the tables beside it."""

import math

import pandas as pd
import pytest
from helpers.paths import ROOT

from evenhand.bench.studies.coverage import fill
from evenhand.bench.studies.reproduction import FOLDER, PAGE, read
from evenhand.bench.studies.reproduction_page import parts


@pytest.fixture(scope="module")
def tables():
    return read(ROOT / FOLDER)


def test_the_page_shows_the_tables_beside_it(tables):
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    assert fill(page, **parts(tables)) == page


def with_row(tables, **changes):
    """The tables with only the first effect, changed."""
    first = tables["effects"].iloc[:1].assign(**changes)
    return {**tables, "effects": first}


def last_line(part):
    return part.strip().splitlines()[-1]


def test_measured_effect_has_its_interval_and_the_distances(tables):
    span = {"effect": 0.5, "effect_low": 0.4, "effect_high": 0.6, "ratio": 0.9, "ratio_low": math.nan}
    found = with_row(tables, baseline=0.6, value=0.3, lost=0.054, verdict="reproduced", **span)
    line = last_line(parts(found)["measured"])
    for said in ("0.60 → 0.30", "50% (40% to 60%)", "0.90", "**reproduced**", "5 points"):
        assert f" {said} " in line


def test_a_negative_number_has_a_minus_sign_and_a_zero_none(tables):
    span = {"effect": -0.03, "effect_low": -0.1, "effect_high": -0.001}
    line = last_line(parts(with_row(tables, lost=-0.001, **span))["measured"])
    assert " −3% (−10% to 0%) " in line and line.endswith("| 0 points |")


@pytest.mark.parametrize(("lost", "said"), [(0.011, "1 point"), (-0.012, "−1 point"), (0.016, "2 points")])
def test_a_loss_of_one_point_is_in_the_singular(tables, lost, said):
    assert last_line(parts(with_row(tables, lost=lost))["measured"]).endswith(f"| {said} |")


def test_what_a_fit_took_is_shown_for_methods_with_a_result(tables):
    took = {"fit_passes": 12340, "fit_seconds": 61.6, "fits": 1, "trials": 16, "share_trained": 0.25}
    line = last_line(parts(with_row(tables, verdict="reproduced", **took))["effort"])
    assert line.split("|")[2:-1] == [" 12,340 ", " 62 s ", " 1 ", " 16 ", " 25% "]
    short = with_row(tables, verdict="reproduced", **took | {"share_trained": 0.004})
    assert last_line(parts(short)["effort"]).endswith("| under 1% |")
    unknown = {"fit_seconds": math.nan, "trials": 0, "share_trained": math.nan}
    line = last_line(parts(with_row(tables, verdict="reproduced", **took | unknown))["effort"])
    assert line.split("|")[3:-1] == [" – ", " 1 ", " not tuned ", " – "]


def test_what_is_missing_is_said_and_never_nan(tables):
    gone = dict.fromkeys(["value", "effect", "ratio", "lost", "paper_effect", "paper_baseline"], math.nan)
    found = parts(with_row(tables, verdict="not run", because="", **gone))
    assert "not found" in last_line(found["measured"]) and "not found" in last_line(found["published"])
    assert found["because"] == "None." and found["summary"] == "Of 1 published methods: 1 not run."
    assert "nan" not in found["measured"] + found["published"]


@pytest.mark.parametrize(
    ("label", "trials", "said"),
    [
        ("uce", 16, "tuned"),
        ("uce", 0, "by hand"),
        ("uce", math.nan, "–"),
        ("uce:rounds=3,step_size=0.5", 0, "`rounds=3`, `step_size=0.5`"),
        ("mist:scope=joint", 16, "`scope=joint`; tuned"),
        ("mist:scope=joint", math.nan, "`scope=joint`"),
    ],
)
def test_the_origin_of_the_parameters_is_said(tables, label, trials, said):
    found = with_row(tables, label=label, method="uce", trials=trials, verdict="reproduced")
    assert last_line(parts(found)["measured"]).split("|")[1:3] == [" `uce` ", f" {said} "]


def test_a_method_without_a_search_space_has_nothing_to_tune(tables):
    found = parts(with_row(tables, label="entigen", method="entigen", trials=0, verdict="reproduced"))
    assert last_line(found["measured"]).split("|")[2] == " nothing to tune "
    assert last_line(found["effort"]).split("|")[5] == " nothing to tune "


def test_the_best_row_of_a_method_counts_in_the_summary(tables):
    row = tables["effects"].iloc[:1]
    said = ("not reproduced", "reproduced", "partly reproduced")
    rows = [row.assign(verdict=verdict, lost=0.0) for verdict in said]
    assert parts({**tables, "effects": pd.concat(rows)})["summary"] == "Of 1 published methods: 1 reproduced."


def test_a_reproduced_effect_that_overrides_prompts_is_pointed_out(tables):
    row = tables["effects"].iloc[:1].assign(verdict="reproduced")
    rows = pd.concat([row.assign(method=name, lost=lost) for name, lost in (("uce", 0.4), ("mist", 0.04))])
    assert "The effect of 1 of the 2 reproduced ones" in parts({**tables, "effects": rows})["summary"]
    better = pd.concat([rows, row.assign(method="uce", lost=0.0)])
    assert "override" not in parts({**tables, "effects": better})["summary"]


def test_every_method_is_counted_once_in_the_summary(tables):
    twice = {**tables, "effects": pd.concat([tables["effects"]] * 2)}
    assert parts(twice)["summary"] == parts(tables)["summary"]
    assert parts(tables)["summary"].startswith(
        f"Of {tables['effects']['method'].nunique()} published methods"
    )
