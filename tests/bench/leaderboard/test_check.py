"""``evenhand board submit`` and ``check``: entries include tables that their numbers are recomputed from."""

import json
import shutil

import pandas as pd
import pytest
from helpers.entry import (
    METHODS,
    change,
    replace_file,
    rewrite,
    small_entries,
    small_run,
    tables,
    without_files,
)

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard import build as board
from evenhand.bench.leaderboard.check import check_entries, valid_entries
from evenhand.bench.leaderboard.entries import load_entry
from evenhand.bench.leaderboard.measure import published
from evenhand.bench.leaderboard.submit import submit
from evenhand.bench.leaderboard.tables import Tables
from evenhand.bench.results.result import Result
from evenhand.bench.storage.images import ImageStore
from evenhand.reports.leaderboard.markdown import render_leaderboard

BASE, MIST, RANDOM = (f"{name}@small-v1" for name in METHODS)


@pytest.fixture
def entries(tmp_path):
    return shutil.copytree(small_entries(), tmp_path / "entries")


def faults(entries):
    return [str(fault) for fault in check_entries(entries)[1]]


@pytest.mark.slow
def test_every_entry_of_a_registered_suite_has_tables_and_is_recomputed(evenhand, entries):
    for path in entries.iterdir():
        assert sorted(file.name for file in path.iterdir()) == [
            "entry.json",
            "images.parquet",
            "labels.parquet",
            "strip.webp",
        ]
    outcome = evenhand("board", "check", "--entries", entries)
    assert outcome.code == 0
    assert outcome.out.splitlines() == [
        *(f"{name}: recomputed" for name in (BASE, MIST, RANDOM)),
        f"3 entries in {entries} are valid: 3 recomputed",
    ]


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes(entries, tmp_path):
    for path in submit(small_run(), tmp_path / "again"):
        for file in path.iterdir():
            assert file.read_bytes() == (entries / path.name / file.name).read_bytes(), file


@pytest.mark.slow
def test_the_estimates_equal_those_of_the_run_whatever_else_ran(entries):
    for name, folder in zip(METHODS, (BASE, MIST, RANDOM), strict=True):
        of_run = published(Result.load(small_run() / "results" / f"{name}.json"))
        entry = load_entry(entries / folder).result
        for part in ("estimates", "coverage", "judge_errors", "steering", "spreads"):
            one, other = (getattr(result, part) for result in (entry, of_run))
            assert repr(one) == repr(other), part
        stated = {(row.metric, row.attributes, row.corrected, row.kind): row for row in entry.comparisons}
        for row in of_run.comparisons:
            again = stated[row.metric, row.attributes, row.corrected, row.kind]
            assert (again.value, again.low, again.high) == (row.value, row.low, row.high)


@pytest.mark.slow
def test_tables_contain_no_prompt_text_and_round_trip(entries):
    own, _ = tables(entries / MIST)
    work = pd.read_parquet(small_run() / "tables" / "images.parquet")
    there = work[work["method"] == "mist"].set_index(["prompt_id", "seed_index"])
    here = own.images.set_index(["prompt_id", "seed_index"])
    columns = ["key", "seed", "status", "alignment", "prompt", "concept", "kind", "cell"]
    assert here.index.tolist() == [place for place in here.index if place in there.index]
    pd.testing.assert_frame_equal(
        here[columns].reset_index(drop=True),
        there.loc[here.index, columns].reset_index(drop=True),
        check_dtype=False,
    )
    for name in ("images.parquet", "labels.parquet"):
        assert b"nurse" not in (entries / MIST / name).read_bytes()


@pytest.mark.slow
def test_an_altered_number_is_reported_with_both_values(entries):
    data = json.loads((entries / MIST / "entry.json").read_text())
    place = next(i for i, row in enumerate(data["result"]["estimates"]) if row["metric"] == "rms_delta")
    row = data["result"]["estimates"][place]
    truth, row["value"] = row["value"], row["value"] - 1e-6
    (entries / MIST / "entry.json").write_text(json.dumps(data))
    (fault,) = faults(entries)
    assert MIST in fault and "rms_delta" in fault and f"its labels give {truth!r}" in fault
    row["value"] = truth + 1e-11
    (entries / MIST / "entry.json").write_text(json.dumps(data))
    assert faults(entries) == [], "differences in the last bits are allowed"


@pytest.mark.slow
@pytest.mark.parametrize("part", ["comparisons", "agreement", "judge_errors", "spreads", "steering"])
def test_an_omitted_number_is_reported(entries, part):
    change(entries / MIST, **{f"result__{part}": lambda rows: rows[1:]})
    (fault,) = faults(entries)
    assert part in fault


@pytest.mark.slow
def test_an_altered_label_is_detected_by_hash_probabilities_or_numbers(entries):
    path = entries / MIST / "labels.parquet"
    good = path.read_bytes()
    path.write_bytes(good.replace(b"woman", b"wuman"))
    assert "SHA-256 differs from that" in faults(entries)[0]

    def swap(own, **columns):
        labels = own.labels.copy()
        row = labels.index[(labels["judge"] == "vit") & (labels["label"] == "woman")][0]
        for name, value in columns.items():
            labels.at[row, name] = value
        return Tables(own.images, labels)

    path.write_bytes(good)
    rewrite(entries / MIST, lambda own: swap(own, label="man"))
    assert "a label or status that does not match its probabilities" in faults(entries)[0]
    path.write_bytes(good)
    replace_file(entries / MIST, "labels.parquet", good)
    rewrite(entries / MIST, lambda own: swap(own, label="man", probabilities=[0.1, 0.9, 0.0]))
    assert "its labels give" in faults(entries)[0]


@pytest.mark.slow
def test_all_errors_of_all_entries_are_listed_one_per_line(evenhand, entries):
    (entries / RANDOM / "entry.json").write_text("{")
    (entries / "notes.txt").write_text("hello")
    change(entries / MIST, result__coverage__planned=2, result__coverage__made=2)
    outcome = evenhand("board", "check", "--entries", entries)
    assert (outcome.code, outcome.out) == (2, "")
    lines = outcome.err.splitlines()
    assert len(lines) == 4
    for word in ("notes.txt", "random-attribute-prompt", "covers 2 images", "2 were generated"):
        assert any(word in line for line in lines), word
    with pytest.raises(EvenhandError, match=r"and 3 more: `evenhand board check`"):
        valid_entries(entries)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"result__spec__protocol__steps": 50}, "its protocol differs from that of suite 'small'"),
        ({"result__spec__concepts": ["nurse"]}, "its concepts differs"),
        ({"result__spec__target_name": "labour"}, "its target_name differs"),
        ({"result__spec__attributes__gender": ["man", "woman"]}, "its attributes differs"),
        ({"result__spec__method__steering_judge": None}, "the method uses 'clip-xs'"),
        ({"result__spec__method__steering_judge": "vit"}, "'vit' has the role 'panel'"),
        ({"result__spec__method__parameters__rounds": 4}, "parameter 'rounds' is 4, but a run of 'mist' has"),
        (
            {"result__spec__method__parameters__secret": 4},
            "parameter 'secret' is 4, but a run of 'mist' has None",
        ),
        (
            {"result__spec__method__search": {"trials": 9, "passes": 9, "record": "0" * 64}},
            "its search is not that of a run of 'mist'",
        ),
        ({"result__cost__fit_cache": "a cache"}, "its fit was pulled from 'a cache'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_entry_must_match_its_suite(entries, changes, words):
    change(entries / MIST, **changes)
    # Some changes move the entry to another ranking, which has no baseline; that is also an error.
    found = faults(entries)
    assert found and any(words in fault or "no entry of the baseline" in fault for fault in found)
    if "pulled" in words:
        assert [words in fault for fault in found] == [True]
    if "protocol" in words or "method" in words or "role" in words:
        change(entries / BASE, **{k: v for k, v in changes.items() if "method" not in k})
        change(entries / RANDOM, **{k: v for k, v in changes.items() if "method" not in k})
        assert any(words in fault for fault in faults(entries))


@pytest.mark.slow
def test_a_judge_card_that_differs_from_the_baseline_is_an_error(entries):
    def of_one_family(cards):
        return [{**card, "family": "mine"} if card["role"] == "panel" else card for card in cards]

    change(entries / MIST, result__spec__judges=of_one_family)
    assert any("the panel differs" in fault for fault in faults(entries))


@pytest.mark.slow
def test_an_existing_baseline_entry_is_kept_and_used_for_comparison(entries):
    before = (entries / BASE / "entry.json").read_bytes()
    shutil.rmtree(entries / MIST)
    written = submit(small_run(), entries)
    assert sorted(path.name for path in written) == [MIST, RANDOM]
    assert (entries / BASE / "entry.json").read_bytes() == before
    assert faults(entries) == []


@pytest.mark.slow
def test_without_the_baseline_tables_the_others_cannot_be_recomputed(entries):
    without_files(entries / BASE)
    found = faults(entries)
    assert len(found) == 3 and "it has no tables" in found[0]
    assert all("the tables of 'base@small-v1' are missing" in fault for fault in found[1:])


@pytest.mark.slow
def test_duplicate_entries_are_errors(entries):
    twin = shutil.copytree(entries / MIST, entries / "mist-again@small-v1")
    assert any("misnamed" in fault for fault in faults(entries))
    shutil.rmtree(twin)
    change(entries / MIST, result__spec__method__name="base")
    assert any("2 entries of the baseline" in fault for fault in faults(entries))


@pytest.mark.slow
def test_a_missing_image_is_an_error_before_anything_is_written(tmp_path):
    run = shutil.copytree(small_run(), tmp_path / "run")
    table = pd.read_parquet(run / "tables" / "images.parquet")
    ImageStore(run / "images").path(table["key"][0]).unlink()
    with pytest.raises(EvenhandError, match=r"was altered or removed; run the same"):
        submit(run, tmp_path / "entries")
    assert not (tmp_path / "entries").exists()


@pytest.mark.slow
def test_the_board_shows_the_evidence_of_each_row_and_is_reproducible(entries):
    rows = board.board_rows(entries)
    assert {row.evidence for row in rows} == {"recomputed"}
    page = render_leaderboard(rows)
    assert page == render_leaderboard(board.board_rows(entries)[::-1])
    (line,) = [line for line in page.splitlines() if line.startswith("|") and "random-attribute" in line][:1]
    assert "| [recomputed](" in line
