"""Attempts to get a better place on the leaderboard by fraud; docs/board.md says what stops each."""

import json
import shutil

import pytest
from helpers.entry import METHODS, change, small_entries, without_files
from helpers.report import a_result, of_example, publish
from helpers.trade_off import placed
from helpers.verification import A_VERIFICATION

from evenhand.bench.leaderboard.build import board_rows
from evenhand.bench.leaderboard.check import check_entries
from evenhand.bench.leaderboard.entries import load_entry
from evenhand.bench.leaderboard.suite import MIN_IMAGES, refusal
from evenhand.bench.suites.suite import load_suite

BASE, MIST, RANDOM = (f"{name}@small-v1" for name in METHODS)


@pytest.fixture
def entries(tmp_path):
    return shutil.copytree(small_entries(), tmp_path / "entries")


def faults(entries):
    return [str(fault) for fault in check_entries(entries, recompute=False)[1]]


@pytest.mark.slow
def test_invented_numbers_without_tables_are_refused(entries):
    def better(rows):
        return [{**row, "value": 0.0, "low": 0.0, "high": 0.01} for row in rows]

    without_files(entries / MIST)
    change(entries / MIST, result__estimates=better)
    (fault,) = faults(entries)
    assert MIST in fault and "it has no tables, so nobody can recompute its numbers" in fault


def test_reported_numbers_are_never_ranked(tmp_path):
    distances = {"base": 0.6, "uce": 0.1, "mist": 0.2}
    results = [placed(name, distance=distance) for name, distance in distances.items()]
    entries = publish(tmp_path / "entries", results)
    rows = {row.label: row for row in board_rows(entries)}
    assert {row.evidence for row in rows.values()} == {"reported"}
    for name in ("uce", "mist"):
        assert (rows[name].band, rows[name].rank, rows[name].track_rank) == ("reported", None, None)
        assert rows[name].why == "numbers only reported"


@pytest.mark.slow
def test_verification_copied_from_another_row_lifts_nothing(entries):
    source = json.loads((entries / RANDOM / "entry.json").read_text())
    assert source["files"], "an entry with tables"
    found = dict(A_VERIFICATION)
    (entries / MIST / "verification.json").write_text(json.dumps(found))
    (fault,) = faults(entries)
    assert "of another version of the entry" in fault
    import hashlib

    found["entry"] = hashlib.sha256((entries / MIST / "entry.json").read_bytes()).hexdigest()
    (entries / MIST / "verification.json").write_text(json.dumps(found))
    valid, none = check_entries(entries, recompute=False)
    assert none == []
    (one,) = [one for one in valid if one.entry.result.spec.method.label == "mist"]
    assert (one.evidence, one.outcomes.verification) == ("recomputed", None)
    assert one.outcomes.notices == ("verification.json is ignored: it is not signed by a maintainer",)


def of_suite(name, *, version="1", digest="5e" * 32, planned=None):
    """A result that claims to be of a registered suite."""
    result = a_result("uce")
    spec = result.spec.model_copy(update={"suite": name, "suite_version": version, "suite_digest": digest})
    coverage = result.coverage
    if planned is not None:
        coverage = coverage.model_copy(update={"planned": planned})
    return result.model_copy(update={"spec": spec, "coverage": coverage})


def test_run_with_limit_is_refused_by_name():
    assert refusal(of_suite("mini", planned=24)) == (
        "it covers 24 of the 1,674 images of suite 'mini' version 1; run it without --limit"
    )


def test_other_version_of_a_registered_suite_is_refused_by_name():
    digest = load_suite("mini").digest()[:8]
    said = refusal(of_suite("mini", version="7"))
    assert said.startswith("its suite 'mini' version 7 (5e5e5e5e) is not a version that is registered here")
    assert f"1 ({digest})" in said and "2 (" in said


def test_edited_suite_under_the_name_and_version_of_a_registered_one_is_refused():
    said = refusal(of_suite("mini", planned=5000))
    assert "its suite 'mini' version 1 (5e5e5e5e) is not a version" in said


def test_suite_with_fewer_images_than_a_sample_is_refused(monkeypatch):
    quick = load_suite("mini-quick")
    result = of_suite("mini-quick", version=quick.version, digest=quick.digest())
    assert refusal(result) == ""
    monkeypatch.setattr("evenhand.bench.leaderboard.suite.MIN_IMAGES", 10**6)
    assert "suite 'mini-quick' plans" in refusal(result) and MIN_IMAGES == 60


def test_suite_that_is_not_registered_is_only_reported():
    assert refusal(of_example(a_result("uce"))) == ""


def test_method_without_package_version_and_source_is_refused(tmp_path):
    entries = publish(tmp_path / "entries", [a_result("base"), a_result("mine")])
    assert faults(entries) == []
    path = next(entries.glob("mine@*"))
    assert load_entry(path).source is not None
    change(path, source=None)
    (fault,) = faults(entries)
    assert "does not state package, version and source of method 'mine'" in fault


def test_method_cannot_pass_as_one_of_another_package(tmp_path):
    entries = publish(tmp_path / "entries", [a_result("base"), a_result("uce")])
    stated = {"package": "mine", "version": "1", "digest": "00" * 32, "address": "https://example.org"}
    change(next(entries.glob("uce@*")), source=stated)
    (fault,) = faults(entries)
    assert "method 'uce' is one of package 'evenhand'" in fault


@pytest.mark.parametrize("address", ["javascript:alert(1)", "file:///etc/passwd", "//example.org"])
def test_address_that_is_not_on_the_web_is_refused(tmp_path, address):
    entries = publish(tmp_path / "entries", [a_result("base"), a_result("mine")])
    change(next(entries.glob("mine@*")), source__address=address)
    (fault,) = faults(entries)
    assert "must begin with https://" in fault
