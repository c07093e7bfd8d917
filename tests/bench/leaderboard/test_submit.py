"""Submitting a run of a suite that is not registered: its results are only reported."""

import pytest
from helpers.stored_run import METHODS, a_stored_run

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.entries import load_entry
from evenhand.bench.leaderboard.measure import published
from evenhand.bench.leaderboard.submit import submit
from evenhand.bench.storage.run_folder import RunFolder


@pytest.fixture
def run(tmp_path):
    return a_stored_run(tmp_path / "run")


def test_every_method_has_an_entry_without_tables(run, tmp_path):
    written = submit(tmp_path / "run", tmp_path / "entries")
    assert [path.name for path in written] == [f"{label}@mini-quick-v1" for label in METHODS]
    for path, result in zip(written, run.results, strict=True):
        assert [file.name for file in path.iterdir()] == ["entry.json"]
        entry = load_entry(path)
        assert entry.files == {} and repr(entry.result) == repr(published(result))


def test_submitting_again_removes_tables_and_verification_and_gives_the_same_bytes(run, tmp_path):
    first = submit(tmp_path / "run", tmp_path / "entries")[0]
    before = (first / "entry.json").read_bytes()
    for name in ("images.parquet", "labels.parquet", "verification.json"):
        (first / name).write_text("old")
    submit(tmp_path / "run", tmp_path / "entries")
    assert [file.name for file in first.iterdir()] == ["entry.json"]
    assert (first / "entry.json").read_bytes() == before


def test_folder_that_is_not_a_run_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(EvenhandError, match="is not a run folder"):
        submit(tmp_path / "nowhere", tmp_path / "entries")
    assert not (tmp_path / "entries").exists()


def test_audit_of_external_images_is_refused(run, tmp_path):
    results = [
        result.model_copy(update={"spec": result.spec.model_copy(update={"protocol": {}})})
        for result in run.results
    ]
    RunFolder(tmp_path / "run").write_results(results)
    with pytest.raises(EvenhandError, match="is an audit of external images; only runs of suites"):
        submit(tmp_path / "run", tmp_path / "entries")
    assert not (tmp_path / "entries").exists()
