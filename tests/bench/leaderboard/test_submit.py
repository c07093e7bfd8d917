"""Submitting a run of a suite that is not registered: its results are only reported."""

from importlib.metadata import version

import pytest
from helpers.report import of_example
from helpers.stored_run import METHODS, a_stored_run

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.entries import load_entry
from evenhand.bench.leaderboard.measure import published
from evenhand.bench.leaderboard.submit import submit
from evenhand.bench.registry.method_spec import method_class
from evenhand.bench.results.entry import MethodSource
from evenhand.bench.storage.run_folder import RunFolder, load_run
from evenhand.methods.source_code import code_digest


@pytest.fixture
def run(tmp_path):
    stored = a_stored_run(tmp_path / "run")
    RunFolder(tmp_path / "run").write_results([of_example(result) for result in stored.results])
    return load_run(tmp_path / "run")


def test_every_method_has_an_entry_without_tables(run, tmp_path):
    written = submit(tmp_path / "run", tmp_path / "entries")
    assert [path.name for path in written] == [f"{label}@example-v1" for label in METHODS]
    for path, result in zip(written, run.results, strict=True):
        assert [file.name for file in path.iterdir()] == ["entry.json"]
        entry = load_entry(path)
        assert entry.files == {} and repr(entry.result) == repr(published(result))


def test_entry_states_package_version_and_source_of_its_method(run, tmp_path):
    for path in submit(tmp_path / "run", tmp_path / "entries", address="https://example.org/p"):
        entry = load_entry(path)
        name = entry.result.spec.method.name
        assert entry.source == MethodSource(
            package="evenhand",
            version=version("evenhand"),
            digest=code_digest(method_class(name)),
            address="https://example.org/p",
        )


def test_run_with_limit_is_refused_by_name(tmp_path):
    a_stored_run(tmp_path / "run")
    with pytest.raises(EvenhandError, match=r"'mini-quick' version 1.*without --limit|not a version that is"):
        submit(tmp_path / "run", tmp_path / "entries")
    assert not (tmp_path / "entries").exists()


def test_submitting_again_removes_tables_and_verification_and_gives_the_same_bytes(run, tmp_path):
    first = submit(tmp_path / "run", tmp_path / "entries")[0]
    before = (first / "entry.json").read_bytes()
    for name in ("images.parquet", "labels.parquet", "verification.json", "fresh.json", "fresh.json.minisig"):
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
