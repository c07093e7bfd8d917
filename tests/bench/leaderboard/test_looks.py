"""Entries of runs that ended at different looks stand on one leaderboard."""

import shutil

import pytest
from helpers.entry import change, register, small_entries, small_run

from evenhand.bench import evaluate
from evenhand.bench.leaderboard.check import check_entries
from evenhand.bench.leaderboard.entries import load_entry
from evenhand.bench.leaderboard.submit import submit

pytestmark = pytest.mark.slow

RANDOM = "random-attribute-prompt"


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    """Entries of a fixed run, of which the baseline and a method were run until decided later."""
    register()
    folder = tmp_path_factory.mktemp("looks")
    shutil.copytree(small_entries(), folder / "entries")
    evaluate("small", methods=[RANDOM], out=folder / "run", until_decided=True)
    submit(folder / "run", folder / "entries")
    return folder / "entries"


def planned(entries):
    found, faults = check_entries(entries)
    assert faults == []
    return {one.entry.result.spec.method.name: one.entry.result.coverage.planned for one in found}


def test_methods_are_compared_with_as_many_images_of_the_baseline_as_they_have(entries):
    counts = planned(entries)
    assert counts["base"] == counts[RANDOM] == planned(small_entries())[RANDOM] + 7 * 24
    assert counts["mist"] == planned(small_entries())["mist"]


def test_smaller_run_keeps_the_larger_baseline(entries, tmp_path):
    copy = tmp_path / "entries"
    shutil.copytree(entries, copy)
    submit(small_run(), copy)
    counts = planned(copy)
    assert counts[RANDOM] == counts["mist"] < counts["base"]


def test_entry_with_more_images_than_its_suite_cannot_claim_a_fixed_number(entries, tmp_path):
    copy = tmp_path / "entries"
    shutil.copytree(entries, copy)
    (path,) = [p for p in copy.iterdir() if p.name.startswith(RANDOM)]
    looks = [row.model_dump(mode="json") | {"look": 0} for row in load_entry(path).result.losses]
    change(path, result__losses=looks)
    _, faults = check_entries(copy)
    assert any("look is 0, its labels give 4" in str(fault) for fault in faults)
