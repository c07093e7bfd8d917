"""The leaderboard: ranks recomputed from the entries, and the committed page."""

import json
import shutil

import numpy as np
import pytest
from helpers.fresh import a_fresh
from helpers.paths import ROOT
from helpers.report import a_run, publish

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard import build as board
from evenhand.bench.leaderboard.check import Checked, valid_entries
from evenhand.bench.leaderboard.verification.signed import Outcomes
from evenhand.bench.policy.ranking import rankings
from evenhand.bench.results.entry import Entry, RankSet
from evenhand.bench.results.result import EstimateRow, Result

DEVIATION = {"base": 0.50, "mist": 0.10, "uce": 0.11, "random-attribute-prompt": 0.02}


def with_deviations(result: Result) -> Result:
    """The result with per-concept squared distances around its method's level."""
    label = result.spec.method.label
    level = DEVIATION[label]
    noise = np.random.default_rng(sum(map(ord, label))).normal(0, 0.03, len(result.spec.concepts))
    template = {"kind": "neutral", "judge": "panel", "low": 0, "high": 1, "n": 30, "floor": 0, "unit": "1"}
    joint = "*".join(result.spec.attributes)
    rows = [
        EstimateRow(
            metric="excess_agreement",
            attributes=joint,
            concept=concept,
            corrected=corrected,
            value=level + noise[place],
            **template,
        )
        for place, concept in enumerate(result.spec.concepts)
        for corrected in (True, False)
    ]
    kept = [row for row in result.estimates if row.metric != "excess_agreement"]
    return result.model_copy(update={"estimates": [*kept, *rows]})


@pytest.fixture
def entries(tmp_path, monkeypatch):
    # As if they had tables; entries without are not ranked.
    monkeypatch.setattr(Checked, "evidence", "recomputed")
    return publish(tmp_path / "entries", map(with_deviations, a_run().results))


@pytest.mark.slow
def test_the_committed_leaderboard_matches_the_committed_entries():
    board.build(ROOT / "reports" / "entries", ROOT / "leaderboard.md", excerpt=ROOT / "README.md", check=True)


def test_rows_name_the_suite_as_a_run_of_their_version_does():
    found = {
        (row.result.spec.suite, row.result.spec.suite_version): row.registered
        for row in board.board_rows(ROOT / "reports" / "entries")
    }
    assert found == {("mini", "1"): "mini", ("mini", "2"): "mini-2", ("mini-gender", "1"): "mini-gender"}


def test_statistically_tied_methods_share_a_group(entries):
    rows = {row.result.spec.method.label: row for row in board.board_rows(entries)}
    assert rows["mist"].rank.tie == rows["uce"].rank.tie == "A"
    assert rows["base"].rank == RankSet(low=3, high=3, tie="B")


def test_an_unranked_method_does_not_affect_the_ranks_of_others(entries):
    rows = {row.result.spec.method.label: row for row in board.board_rows(entries)}
    unranked = rows["random-attribute-prompt"]
    assert unranked.failed_gates and unranked.rank is None and unranked.track_rank is None
    assert (rows["mist"].rank.low, rows["mist"].rank.high) == (1, 2), "the fairest method is not ranked"


def test_kinds_of_evidence_are_ranked_apart_and_the_strongest_comes_first():
    results = {
        r.spec.method.label: with_deviations(r) for r in a_run(methods=("base", "mist", "uce")).results
    }
    files = dict.fromkeys(("images.parquet", "labels.parquet"), "00" * 32)
    # On its own noise mist is closer; only uce was drawn on fresh noise.
    fresh = Outcomes(fresh=a_fresh(results["uce"], results["base"]))
    entries = [
        Checked(Entry(result=result, files=files), fresh if label == "uce" else Outcomes())
        for label, result in results.items()
    ]
    rows = {row.label: row for row in board.rows_of(entries)}
    assert (rows["uce"].evidence, rows["mist"].evidence) == ("verified on fresh noise", "recomputed")
    for name in ("uce", "mist"):
        assert (rows[name].track_rank.low, rows[name].track_rank.tie) == (1, "A")
    (ranking,) = rankings(list(rows.values()))
    track = rows["uce"].track
    assert [row.label for row in ranking.rows] == ["base", "uce", "mist"]
    assert [part[:2] for part in ranking.parts(ranking.tracks[track])] == [
        ("ranked", "verified on fresh noise"),
        ("ranked", "recomputed"),
    ]
    assert set(ranking.best(track)) <= {"uce"}


def test_too_small_a_sample_on_fresh_noise_changes_neither_numbers_nor_evidence():
    results = {r.spec.method.label: with_deviations(r) for r in a_run(methods=("base", "uce")).results}
    files = dict.fromkeys(("images.parquet", "labels.parquet"), "00" * 32)
    other = results["uce"].model_copy(update={"notes": ["fresh"]})
    small = Outcomes(fresh=a_fresh(other, results["base"], images=300))
    entries = [
        Checked(Entry(result=result, files=files), small if label == "uce" else Outcomes())
        for label, result in results.items()
    ]
    (row,) = [row for row in board.rows_of(entries) if row.label == "uce"]
    assert (row.evidence, row.result.notes) == ("recomputed", results["uce"].notes)
    assert row.fresh is not None and row.fresh.images == 300


@pytest.mark.slow
def test_an_outdated_board_is_reported_and_not_changed(entries, tmp_path):
    page = tmp_path / "leaderboard.md"
    page.write_text("old\n")
    with pytest.raises(EvenhandError, match="evenhand board build"):
        board.build(entries, page, check=True)
    assert page.read_text() == "old\n"
    board.build(entries, page)
    board.build(entries, page, check=True)


@pytest.mark.slow
def test_a_page_shows_the_best_rows_and_keeps_its_other_text(entries, tmp_path):
    board_page, page = tmp_path / "leaderboard.md", tmp_path / "README.md"
    page.write_text("before\n<!-- board -->\n<!-- end -->\nafter\n")
    board.build(entries, board_page)
    with pytest.raises(EvenhandError, match=r"README\.md is out of date"):
        board.build(entries, board_page, excerpt=page, check=True)
    board.build(entries, board_page, excerpt=page)
    board.build(entries, board_page, excerpt=page, check=True)
    text = page.read_text()
    assert text.startswith("before\n<!-- board -->\n**") and text.endswith("|\n<!-- end -->\nafter\n")
    page.write_text("no place\n")
    with pytest.raises(EvenhandError, match="no place for the excerpt"):
        board.build(entries, board_page, excerpt=page)


def test_entries_without_the_baseline_are_rejected(entries):
    shutil.rmtree(next(entries.glob("base@*")))
    with pytest.raises(EvenhandError, match="no entry of the baseline"):
        valid_entries(entries)


@pytest.mark.slow
def test_an_entry_without_rows_for_every_concept_is_rejected(entries):
    path = next(entries.glob("mist@*/entry.json"))
    data = json.loads(path.read_text())
    data["result"]["estimates"] = [
        r for r in data["result"]["estimates"] if r["metric"] != "excess_agreement"
    ]
    path.write_text(json.dumps(data))
    with pytest.raises(EvenhandError, match="no squared distance"):
        board.board_rows(entries)
