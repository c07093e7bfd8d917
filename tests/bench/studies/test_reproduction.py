"""The reproduction table: published figures, the arithmetic of effects and the verdicts."""

import math

import pandas as pd
import pytest
from helpers.paths import ROOT
from helpers.report import a_result

from evenhand.bench.leaderboard.entries import read_entries
from evenhand.bench.results.lookup import Reading, primary_key
from evenhand.bench.results.result import ComparisonRow, Search, Timing
from evenhand.bench.studies.reproduction import (
    EFFORT,
    FOLDER,
    claims,
    effects,
    joint_results,
    relative_effect,
    verdict,
)
from evenhand.bench.suites.suite import load_suite, read_suite
from evenhand.bench.tuning.development import development_suite
from evenhand.metrics.statistics.ratios import Span

PRIMARY = "gender*tone*age"
NOTHING = {"gender": [], "joint": [], "unedited": []}


def with_square(label, *, base=0.36, square=0.09, half=0.05):
    """A result with the squared distance that paired differences are measured in."""
    result = a_result(label)
    own = base if label == "base" else square
    row = next(row for row in result.estimates if (row.metric, row.attributes) == ("rms_delta", PRIMARY))
    spread = {"value": own, "low": own - half, "high": own + half}
    squared = row.model_copy(update={"metric": "excess_agreement", "corrected": True, **spread})
    gap = ComparisonRow(
        metric="excess_agreement",
        attributes=PRIMARY,
        judge=row.judge,
        corrected=True,
        against="base",
        value=own - base,
        low=own - base - half,
        high=own - base + half,
        p=0.001,
    )
    changes = {"estimates": [*result.estimates, squared], "comparisons": [gap] if label != "base" else []}
    return result.model_copy(update=changes)


@pytest.mark.parametrize(
    ("square", "effect"), [(0.36, 0.0), (0.09, 0.5), (0.0, 1.0), (-0.02, 1.0), (0.81, -0.5)]
)
def test_an_effect_is_the_part_of_the_distance_that_is_removed(square, effect):
    method, base = Span(square, square - 0.05, square + 0.05), Span(0.36, 0.3, 0.42)
    found = relative_effect(method, base, Span(square - 0.36, square - 0.41, square - 0.31))
    assert found.value == pytest.approx(effect)
    assert found.low <= found.value <= found.high <= 1


def test_an_effect_of_images_more_even_than_independent_draws_has_an_interval():
    base, change = Span(0.36, 0.3, 0.42), Span(-0.38, -0.42, -0.34)
    found, even = (
        relative_effect(Span(square, square - 0.02, square + 0.02), base, change) for square in (-0.02, 0.0)
    )
    assert found.value == found.high == 1
    assert found.low == pytest.approx(even.low, abs=0.02) and found.low < 0.8


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (0.7, "reproduced"),
        (0.69, "partly reproduced"),
        (0.5, "partly reproduced"),
        (0.49, "not reproduced"),
        (-1.0, "not reproduced"),
        (math.nan, "no published effect"),
    ],
)
def test_the_verdict_follows_from_the_part_of_the_published_effect(part, said):
    assert verdict(part) == said


def test_without_a_run_every_method_is_not_run():
    table = effects([])
    assert set(table["verdict"]) == {"not run"} and table["effect"].isna().all()
    assert set(claims(NOTHING, effects=effects([]))["verdict"]) == {"not run"}


def test_the_row_of_a_method_compares_its_effect_with_the_published_one():
    table = effects([with_square("base"), with_square("uce")]).set_index("label")
    row = table.loc["uce"]
    assert row["effect"] == pytest.approx(0.5)
    assert row["ratio"] == pytest.approx(0.5 / (1 - 0.34 / 0.71))
    assert (row["verdict"], row["because"]) == ("reproduced", "")
    assert table.loc["mist", "verdict"] == "not run"


def test_other_parameters_of_a_method_have_their_own_rows():
    label = "uce:rounds=3"
    table = effects([with_square("base"), with_square("uce"), with_square(label, square=0.0)])
    assert table[table["method"] == "uce"]["label"].tolist() == ["uce", label]
    assert table.set_index("label")["effect"][["uce", label]].round(6).tolist() == [0.5, 1.0]


def test_a_weaker_effect_says_why():
    row = effects([with_square("base"), with_square("uce", square=0.3)]).set_index("label").loc["uce"]
    assert row["verdict"] == "not reproduced" and "192 dimensions" in row["because"]


def test_a_method_without_published_figures_is_shown_without_a_verdict():
    row = effects([with_square("base"), with_square("time")]).set_index("label").loc["time"]
    assert row["verdict"] == "no published effect" and row["effect"] == pytest.approx(0.5)


def test_what_the_fit_took_stands_beside_the_effect():
    result = with_square("uce")
    search = Search(trials=16, passes=1000, record="0" * 64)
    method = result.spec.method.model_copy(
        update={"search": search, "other_fits": ["a", "b"], "share_trained": 0.5}
    )
    tuned = result.model_copy(update={"spec": result.spec.model_copy(update={"method": method})})
    timings = [Timing(method="uce", fit_seconds=12.5)]
    row = effects([with_square("base"), tuned], timings).set_index("label").loc["uce"]
    assert tuple(row[list(EFFORT)]) == (result.fit_passes, 12.5, 3, 16, 0.5)
    untimed = effects([with_square("base"), with_square("uce")]).set_index("label").loc["uce"]
    assert math.isnan(untimed["fit_seconds"]) and (untimed["fits"], untimed["trials"]) == (1, 0)


def in_scope(label, scope, low, high):
    """A result of MIST, or of another method, with this interval of the primary distance."""
    result = a_result(label)
    method = result.spec.method.model_copy(update={"parameters": {"scope": scope}})
    rows = [
        row.model_copy(update={"low": low, "high": high}) if not row.concept else row
        for row in result.estimates
    ]
    spec = result.spec.model_copy(update={"method": method})
    return result.model_copy(update={"spec": spec, "estimates": rows})


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.4, 0.5, "holds"), (0.25, 0.5, "not decided"), (0.0, 0.1, "does not hold")],
)
def test_a_claim_holds_where_the_intervals_are_apart(low, high, said):
    joint = [a_result("base"), in_scope("mist", "joint", 0.2, 0.3), in_scope("uce", "joint", low, high)]
    table = claims({"gender": [], "joint": joint, "unedited": []}, effects=effects([]))
    mine = table[table["claim"].str.contains("joint cells") & (table["over"] == "uce")]
    assert dict(zip(mine["scope"], mine["verdict"], strict=True)) == {"per-concept": "not run", "joint": said}


def test_another_method_is_compared_in_the_setting_of_mist():
    per_concept = [in_scope(label, "per-concept", 0.2, 0.3) for label in ("mist", "time:scope=per-concept")]
    joint = [in_scope(label, "joint", 0.2, 0.3) for label in ("mist:scope=joint", "uce", "time")]
    table = claims(
        {"gender": [], "joint": [a_result("base"), *per_concept, *joint], "unedited": []}, effects=effects([])
    )
    tested = table[table["claim"].str.contains("joint cells") & (table["verdict"] != "not run")]
    assert set(zip(tested["scope"], tested["over"], strict=True)) == {
        ("per-concept", "time"),
        ("joint", "uce"),
        ("joint", "time"),
    }


@pytest.mark.parametrize(
    ("change", "half", "said"),
    [(-0.02, 0.05, "holds"), (-0.02, 0.2, "not decided"), (-0.4, 0.1, "does not hold")],
)
def test_unedited_occupations_are_kept_if_their_shares_hardly_change(change, half, said):
    base, mist = (with_square(label, square=0.36 + change, half=half) for label in ("base", "mist"))
    method = mist.spec.method.model_copy(update={"parameters": {"scope": "joint"}})
    gaps = [row.model_copy(update={"kind": "person"}) for row in mist.comparisons]
    mist = mist.model_copy(
        update={"spec": mist.spec.model_copy(update={"method": method}), "comparisons": gaps}
    )
    table = claims({"gender": [], "joint": [], "unedited": [base, mist]}, effects=effects([]))
    mine = table[table["claim"].str.contains("other occupations") & (table["scope"] == "joint")]
    assert list(mine["verdict"]) == [said]


def test_settings_without_a_result_keep_their_numbers():
    label = "uce:rounds=3"
    earlier = effects([with_square("base"), with_square("uce", square=0.3), with_square(label, square=0.0)])
    table = effects([with_square("base"), with_square("uce")], earlier=earlier).set_index("label")
    assert table["effect"][["uce", label]].round(6).tolist() == [0.5, 1.0]
    assert table["verdict"][["uce", label, "mist"]].tolist() == ["reproduced", "reproduced", "not run"]
    assert table["fits"][label] == 1
    pd.testing.assert_frame_equal(effects([], earlier=earlier), earlier)


def test_claims_without_their_results_keep_their_rows():
    joint = [a_result("base"), in_scope("mist", "joint", 0.2, 0.3), in_scope("uce", "joint", 0.4, 0.5)]
    earlier = claims({"gender": [], "joint": joint, "unedited": []}, effects=effects([]))
    assert "holds" in set(earlier["verdict"])
    pd.testing.assert_frame_equal(claims(NOTHING, effects=effects([]), earlier=earlier), earlier)


def test_claims_about_gender_have_the_distances_of_the_effects():
    table = effects(
        [
            with_square("base"),
            in_scope("mist", "per-concept", 0.2, 0.3),
            in_scope("time", "per-concept", 0.4, 0.5),
            in_scope("uce", "joint", 0.4, 0.5),
        ]
    )
    tested = claims(NOTHING, effects=table).query("claim == 'less biased: gender' and verdict != 'not run'")
    assert tested[["scope", "over", "verdict"]].to_numpy().tolist() == [["per-concept", "time", "holds"]]
    assert tested[["mist_low", "mist_high", "other_low", "other_high"]].iloc[0].tolist() == [
        0.2,
        0.3,
        0.4,
        0.5,
    ]


def test_joint_results_are_of_one_version_that_has_mist():
    found = joint_results(read_entries(ROOT / "reports" / "entries")[0].values())
    assert len({result.spec.suite_version for result in found}) == 1
    assert "mist" in {result.spec.method.name for result in found}


def test_joint_results_are_those_of_the_median_fit():
    entries = read_entries(ROOT / "reports" / "entries")[0].values()
    found = {result.spec.method.row: result for result in joint_results(entries)}
    fits = [
        entry.result
        for entry in entries
        if entry.result.spec.method.row == "time" and entry.result.spec.suite_version == "2"
    ]
    key = primary_key([Reading.of(one) for one in fits])
    assert len(fits) == 3 and key.attributes == PRIMARY
    _, median, _ = sorted(fits, key=lambda one: Reading.of(one).at(key).value)
    assert found["time"].spec.method.label == median.spec.method.label


def test_the_suite_balances_gender_alone_and_tunes_on_other_occupations():
    suite = load_suite("mini-gender")
    assert suite.balance == suite.primary == ("gender",) and list(suite.attributes) == ["gender"]
    assert suite.methods.keys() == load_suite("mini-2").methods.keys()
    assert suite.methods["mist"]["scope"] == "per-concept"
    assert development_suite(suite).balance == ("gender",)


def test_the_unedited_occupations_are_not_balanced(monkeypatch):
    monkeypatch.chdir(ROOT)
    suite = read_suite(ROOT / FOLDER / "unedited.toml")
    edited = set(suite.prompts[0].concepts)
    listed = pd.read_csv(ROOT / FOLDER / "unedited-occupations.csv")
    assert set(listed["kind"]) == {"person"} and not edited & set(listed["concept"])
    assert suite.methods == load_suite("mini-gender").methods
