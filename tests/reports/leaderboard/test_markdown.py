"""The leaderboard in Markdown."""

import itertools

import pytest
from helpers.losses import a_loss
from helpers.report import BIAS, NAN, a_comparison, a_judge, a_result, a_spec, an_estimate

from evenhand.bench.policy.bands import band, why_not_ranked
from evenhand.bench.policy.gates import gate_outcomes
from evenhand.bench.results.entry import (
    BoardRow,
    FitRow,
    RankSet,
    version_key,
)
from evenhand.bench.results.result import Search
from evenhand.reports.leaderboard.columns import escape
from evenhand.reports.leaderboard.markdown import render_leaderboard

BASE = a_result("base", concepts=["nurse"])


def a_row(label="mist", *, tie="A", fields=None, **changes):
    result = a_result(label, concepts=["nurse"]).model_copy(update=changes)
    gates = gate_outcomes(result, BASE)
    failed = [gate.reason for gate in gates if gate.status != "passed"]
    rank = None if failed else RankSet(low=1, high=2, tie=tie)
    row = BoardRow(
        result=result,
        timing=None,
        track="one model",
        rank=rank,
        track_rank=None if label == "base" else rank,
        band=band(gates),
        why=why_not_ranked(gates),
        failed_gates=failed,
    )
    return row.model_copy(update=fields or {})


def lines(board, start="|"):
    return [line for line in board.splitlines() if line.startswith(start)]


def measured(board):
    """The leaderboard without the published numbers."""
    return board.split("## Reported in the literature")[0]


def tables(board):
    """Every table of measured rows as a list of rows of stripped cells, without the separator line."""
    found = [block.splitlines() for block in measured(board).split("\n\n") if block.startswith("|")]
    return [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in (rows[0], *rows[2:])]
        for rows in found
    ]


def test_leaderboard_does_not_depend_on_the_order_of_the_rows():
    rows = [a_row(label, tie=tie) for label, tie in zip(BIAS, "DCBA", strict=True)]
    assert len({render_leaderboard(order) for order in itertools.permutations(rows)}) == 1


def test_every_table_of_methods_has_five_columns():
    board = render_leaderboard([a_row("base"), a_row("mist"), a_row("random-attribute-prompt")])
    assert {tuple(rows[0]) for rows in tables(board)} == {
        ("Method", "Verdict", "Distance ↓", "Explicit fidelity ↑", "Evidence")
    }
    assert {len(row) for rows in tables(board) for row in rows} == {5}


def test_row_shows_tie_group_ranks_intervals_and_its_entry():
    (ranking,) = tables(render_leaderboard([a_row()]))
    row = dict(zip(*ranking, strict=True))
    assert row["Method"] == "mist (weights)"
    assert row["Verdict"] == "A (1 to 2)"
    assert row["Distance ↓"] == "0.345 (0.310 to 0.380); 1 fit"
    assert row["Explicit fidelity ↑"] == "0.0 points (−2.0 to 2.0)"
    assert row["Evidence"] == "[reported](reports/entries/mist@mini-quick-v1)"


def test_a_method_of_the_project_links_to_its_card():
    (ranking,) = tables(render_leaderboard([a_row(fields={"documented": True})]))
    assert ranking[1][0] == "[mist](docs/methods/mist.md) (weights)"


def test_the_method_says_whether_it_is_ours_tuned_and_cut():
    card = a_row().result.spec.method.model_copy(
        update={"search": Search(trials=16, passes=1000, record="ab" * 32)}
    )
    spec = a_row().result.spec.model_copy(update={"method": card})
    row = a_row(spec=spec, fields={"ours": True, "share_trained": 0.00048})
    (ranking,) = tables(render_leaderboard([row]))
    assert ranking[1][0] == "mist (weights, ours, tuned, 16 trials, trained 0.048%)"


def test_several_fits_show_their_spread():
    fits = [
        FitRow(label=f"mist:fit={number}", entry=f"e{number}", distance=distance, band="ranked")
        for number, distance in enumerate((0.3, 0.345, 0.4), start=1)
    ]
    (ranking,) = tables(render_leaderboard([a_row(fields={"fits": fits, "published": fits[1]})]))
    assert ranking[1][2] == "0.345 (0.310 to 0.380); 3 fits: 0.300 to 0.400"
    assert ranking[1][4] == "[reported](reports/entries/e2)"


def test_tracks_have_separate_tables():
    rows = [a_row("mist"), a_row("uce", fields={"track": "at sampling time"})]
    board = measured(render_leaderboard(rows))
    headings = [line for line in board.splitlines() if line.startswith("###")]
    assert headings[:2] == ["### One model", "### At sampling time"]
    assert [[row[0] for row in rows[1:]] for rows in tables(board)] == [["mist (weights)"], ["uce (weights)"]]


def test_notes_give_correction_n_and_chance_level_of_the_distance():
    notes = lines(render_leaderboard([a_row()]), "- ")
    ranks = "the primary distance, which ranks the methods"
    corrected = "corrected for judge error (correction not verified); n 1,600"
    assert f"- Distance, gender × skin tone × age ↓: {ranks}; {corrected}" in notes


def test_method_that_fails_a_gate_has_the_reason_in_place_of_the_rank():
    board = render_leaderboard([a_row("random-attribute-prompt"), a_row("uce", tie="B")])
    ranked, failed = tables(board)
    assert ranked[1][:2] == ["uce (weights)", "B (1 to 2)"]
    assert failed[1][:2] == ["random-attribute-prompt (weights)", "over-correction +31.0 points"]
    assert "**Harm proven**: the data show that the method loses more than is allowed." in board


def test_rows_are_ordered_by_tie_group_then_estimate():
    rows = [a_row("base", tie="B"), a_row("mist", tie="A"), a_row("uce", tie="A"), a_row("late", tie="AA")]
    base, ranking = tables(render_leaderboard(rows))
    assert [row[0].split()[0] for row in [*base[1:], *ranking[1:]]] == ["base", "mist", "uce", "late"]


@pytest.mark.parametrize(
    "change",
    [
        {"suite_version": "2"},
        {"suite_digest": "00" * 32},
        {"model_revision": "other"},
        {"protocol": {"version": "2"}},
        {"judges": [a_judge("vit").model_copy(update={"version": "2"})]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_different_versions_are_in_different_tables(change):
    other = a_row("uce", spec=a_spec("uce", concepts=["nurse"], **change))
    board = render_leaderboard([a_row("mist"), other])
    sections = measured(board).split("\n## ")[1:]
    assert len(sections) == 2
    for section in sections:
        assert [len(rows) for rows in tables(section)] == [2]


def test_different_steering_judge_does_not_split_a_table():
    steered = [a_judge("vit"), a_judge("clip-s"), a_judge("tone-ita")]
    spec = a_spec("uce", concepts=["nurse"], judges=steered)
    assert version_key(a_row("uce", spec=spec).result) == version_key(a_row("mist").result)


def test_undefined_numbers_are_named():
    keys = {"attributes": "gender", "low": NAN, "high": NAN}
    rows = [an_estimate("rms_delta", NAN, **keys), an_estimate("deviation_ratio", NAN, **keys)]
    board = render_leaderboard([a_row(estimates=rows, losses=[])])
    assert "No method is ranked, because none passes every gate." in board
    (unchecked,) = tables(board)
    row = dict(zip(*unchecked, strict=True))
    assert (row["Distance ↓"], row["Explicit fidelity ↑"]) == ("not measured; 1 fit", "-")
    assert "**Unchecked**" in board


def test_footnotes_give_protocol_prompt_sets_and_judges():
    notes = "\n".join(lines(render_leaderboard([a_row()]), "- "))
    for fact in (
        "Protocol: guidance 2.5",
        "winobias 1 (d1d1d1d1d1d1)",
        "clip-s 1 (image-text)",
        "Suite digest: 5e5e",
    ):
        assert fact in notes
    assert "clip-xs" not in notes, "a steering judge has no vote"


def test_empty_leaderboard_explains_itself():
    board = render_leaderboard([])
    assert board.startswith("# Leaderboard\n") and "No entries yet.\n" in board
    assert "[How to read a row](docs/board.md)" in board and "reports/entries/README.md" in board


@pytest.mark.parametrize(
    ("raw", "escaped"),
    [
        ("a|b", "a\\|b"),
        ("<img src=x>", "\\<img src=x\\>"),
        ("[x](y) *b* _i_ `c`", "\\[x\\](y) \\*b\\* \\_i\\_ \\`c\\`"),
        ("two\nlines\r\n| x", "two lines \\| x"),
        ("https://x.y", "https&#58;//x.y"),
        ("right\u202eleft", "rightleft"),
        ("&amp; #1", "\\&amp; \\#1"),
    ],
)
def test_texts_of_an_entry_are_escaped(raw, escaped):
    assert escape(raw) == escaped
    row = a_row().model_copy(update={"band": "not proven", "failed_gates": [raw], "why": raw})
    unranked = render_leaderboard([row]).split("**Not proven**")[1].split("<details>")[0]
    assert len({line.replace("\\|", "").count("|") for line in lines(unranked)}) == 1


def test_each_band_has_a_table_with_its_meaning():
    passed, proven, open_ = a_row("mist"), a_row("random-attribute-prompt"), a_row("uce")
    wide = [a_loss("explicit fidelity", half=0.2), *open_.result.losses[1:]]
    board = render_leaderboard([passed, proven, a_row("uce", losses=wide)])
    bands = [line.split("**")[1] for line in measured(board).splitlines() if line.startswith("**")]
    assert bands[:3] == ["Ranked", "Not proven", "Harm proven"]
    assert "needs about 900 explicit images" in board


def test_method_not_distinguishable_from_the_baseline_is_not_praised():
    still = a_comparison(0.0)
    rows = [a_row("base", tie="B"), a_row("mist"), a_row("uce", comparisons=[still])]
    board = render_leaderboard(rows)
    assert "Best, as far as the data can tell: mist." in board
    rows = [a_row("base"), a_row("uce", comparisons=[still])]
    assert "No ranked method is shown to be closer to the target than the baseline." in render_leaderboard(
        rows
    )


def test_board_on_which_no_method_passes_every_gate_says_so():
    wide = [a_loss("explicit fidelity", half=0.2)]
    board = render_leaderboard([a_row("base"), a_row("uce", losses=wide)])
    assert "No method is ranked, because none passes every gate." in board
