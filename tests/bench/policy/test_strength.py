"""Methods with several strengths on the leaderboard: one ranked row each, small entries, figures."""

import itertools
import json
import re
import shutil

import pytest
from helpers.paths import ROOT
from helpers.report import JOINT, a_result, an_estimate, of_example, publish
from helpers.trade_off import CONCEPTS, placed, swept
from pyarrow.parquet import read_metadata

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard import build as board
from evenhand.bench.leaderboard import submit as entry_submit
from evenhand.bench.leaderboard.check import Checked, valid_entries
from evenhand.bench.results.entry import ENTRY_FILE, Entry, RankSet, entry_name
from evenhand.bench.results.result import Result, Run
from evenhand.reports.leaderboard.markdown import front_images, render_leaderboard

SETTINGS = [0.25, 0.5, 1.0]

CARD = "[{0}](docs/methods/{0}.md)"
"""The link of a method that the project provides."""


@pytest.fixture(autouse=True)
def with_tables(monkeypatch):
    """Entries count as if they had tables; those without are not ranked."""
    monkeypatch.setattr(Checked, "evidence", "recomputed")


@pytest.fixture
def entries(tmp_path):
    results = [
        placed("base", distance=0.6),
        placed("harmful", distance=0.01, lost=0.3),
        *swept("uce", own=0.5, settings=SETTINGS, distance=0.1, trade_off=0.02),
        *swept("mist", own=0.5, settings=SETTINGS, distance=0.4, trade_off=0.02),
    ]
    return publish(tmp_path / "entries", results)


def tables(text):
    """The tables of measured rows."""
    measured = text.split("## Reported in the literature")[0]
    blocks = [block.splitlines() for block in measured.split("\n\n") if block.startswith("|")]
    return [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in (rows[0], *rows[2:])]
        for rows in blocks
    ]


def test_only_one_setting_of_each_method_that_passes_every_gate_is_ranked(entries):
    rows = {row.result.spec.method.label: row for row in board.board_rows(entries)}
    ranks = {label: (row.rank.low, row.rank.high) for label, row in rows.items() if row.rank is not None}
    assert ranks == {"uce": (1, 1), "mist": (2, 2), "base": (3, 3)}


@pytest.mark.slow
def test_more_strengths_do_not_change_the_ranking(entries, tmp_path):
    everything = render_leaderboard(board.board_rows(entries))
    own = tmp_path / "own"
    own.mkdir()
    for path in entries.iterdir():
        if "scale" not in path.name:
            shutil.copytree(path, own / path.name)
    alone = render_leaderboard(board.board_rows(own))
    assert tables(everything)[:3] == tables(alone)
    assert "### Other strengths" in everything and "### Other strengths" not in alone


def test_strengths_are_in_a_separate_collapsed_table(entries):
    text = render_leaderboard(board.board_rows(entries))
    base, ranking, below, strengths = tables(text)
    methods = [[row[0].split()[0] for row in rows[1:]] for rows in (base, ranking, below)]
    assert methods == [[CARD.format("base")], [CARD.format("uce"), CARD.format("mist")], ["harmful"]]
    assert [row[0] for row in strengths[1:4]] == [
        "mist, scale = 0.25",
        "mist, scale = 0.5 (ranked)",
        "mist, scale = 1",
    ]
    assert "<details><summary>6 settings of 2 methods</summary>" in text


def test_front_of_each_trade_off_lists_its_methods_and_marks_unranked_ones(entries):
    text = render_leaderboard(board.board_rows(entries))
    lines = [line for line in text.splitlines() if line.startswith("**Pareto front")]
    assert [line.removeprefix("**Pareto front of fairness and ") for line in lines] == [
        "explicit fidelity:** uce and harmful (harm proven).",
        "unrelated images:** harmful (harm proven).",
    ]


@pytest.mark.slow
def test_page_and_images_do_not_depend_on_the_order_of_the_rows(entries):
    rows = board.board_rows(entries)
    orders = list(itertools.islice(itertools.permutations(rows), 0, 5000, 1250))
    assert len({render_leaderboard(order) for order in orders}) == 1
    assert len({json.dumps(front_images(order)) for order in orders[:2]}) == 1


@pytest.mark.slow
def test_images_of_the_page_are_written_as_standalone_files(entries, tmp_path):
    page = tmp_path / "board" / "leaderboard.md"
    board.build(entries, page)
    shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", page.read_text())
    assert shown == [f"../fronts/example-v1-{name}.svg" for name in ("fidelity", "unrelated")]
    for name in shown:
        image = (page.parent / name).read_text()
        assert image.startswith('<svg xmlns="http://www.w3.org/2000/svg"') and "<title>" in image
        assert re.findall(r"https?:", image.replace("http://www.w3.org/2000/svg", "")) == []


@pytest.mark.slow
def test_changed_or_missing_image_is_stale(entries, tmp_path):
    page = tmp_path / "leaderboard.md"
    board.build(entries, page)
    board.build(entries, page, check=True)
    image = tmp_path / "fronts" / "example-v1-fidelity.svg"
    kept = image.read_text()
    for content in (kept.replace("0.600", "0.500", 1), None):
        image.unlink() if content is None else image.write_text(content)
        with pytest.raises(EvenhandError, match=r"fidelity\.svg is out of date"):
            board.build(entries, page, check=True)


def test_baseline_alone_is_ranked_first(tmp_path):
    bare = placed("base", distance=0.6)
    folder = publish(tmp_path / "entries", [bare])
    (row,) = board.board_rows(folder)
    assert row.rank == RankSet(low=1, high=1, tie="A")


def a_whole_result() -> Result:
    """A result with every kind of row, as written by a run."""
    result = placed("mist", distance=0.2)
    extra = [
        an_estimate("share", 0.5, attributes="gender", concept="nurse", group="woman"),
        an_estimate("rms_delta", 0.5, attributes="gender", concept="nurse"),
        an_estimate("excess_agreement", 0.5, attributes="gender", concept="nurse"),
        an_estimate("excess_agreement", 0.5, attributes=JOINT, concept="nurse", judge="vit"),
        an_estimate("share", 0.5, attributes="gender", group="woman", judge="vit"),
        an_estimate("delta_tv", 0.5, attributes="gender", judge="vit"),
    ]
    kept = [
        an_estimate("rms_delta", 0.5, attributes="gender", judge="vit"),
        an_estimate("share", 0.5, attributes="gender", group="woman"),
    ]
    ranks = a_result("mist", concepts=CONCEPTS).ranks
    return result.model_copy(update={"estimates": [*result.estimates, *kept, *extra], "ranks": ranks})


def test_entry_holds_exactly_what_the_leaderboard_shows(monkeypatch, tmp_path):
    results = [of_example(placed("base", distance=0.6)), of_example(a_whole_result())]
    run = Run(folder="run", results=results, timings=[], images=[])
    monkeypatch.setattr(entry_submit, "load_run", lambda _: run)
    entry_submit.submit(tmp_path / "run", tmp_path / "slim")
    entry = Entry.model_validate_json((tmp_path / "slim" / entry_name(results[1]) / ENTRY_FILE).read_text())
    rows = entry.result.estimates
    assert {(r.metric, r.judge, r.attributes) for r in rows if r.concept} == {
        ("excess_agreement", "panel", JOINT)
    }
    assert {(r.metric, bool(r.group)) for r in rows if r.judge == "vit"} == {("rms_delta", False)}
    assert [r for r in rows if r.group and r.judge == "panel"]
    assert entry.result.ranks == []
    whole = publish(tmp_path / "whole", results)
    assert render_leaderboard(board.board_rows(whole)) == render_leaderboard(
        board.board_rows(tmp_path / "slim")
    )


def test_committed_entries_take_at_most_600_bytes_for_an_image():
    found = list((ROOT / "reports" / "entries").glob("*@*"))
    assert found
    for path in found:
        size = sum(file.stat().st_size for file in path.iterdir())
        assert size < 600 * read_metadata(path / "images.parquet").num_rows, path


def test_entry_without_declared_strength_is_valid(tmp_path):
    folder = publish(tmp_path / "entries", [placed("base", distance=0.6)])
    path = next(folder.glob("*/entry.json"))
    data = json.loads(path.read_text())
    del data["result"]["spec"]["method"]["strength"]
    path.write_text(json.dumps(data))
    assert len(valid_entries(folder)) == 1
