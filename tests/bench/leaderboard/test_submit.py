"""Submitting a run of a suite that is not registered: its results are only reported."""

from importlib.metadata import version

import pytest
from helpers.entry import change
from helpers.report import of_example
from helpers.stored_run import METHODS, a_stored_run

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.entries import load_entry
from evenhand.bench.leaderboard.measure import published
from evenhand.bench.leaderboard.submit import pulled_rows, submit
from evenhand.bench.registry.method_spec import method_class
from evenhand.bench.results.entry import MethodSource
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.storage.stored_run import load_run
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


def test_entry_of_another_method_in_the_same_folder_is_not_overwritten(run, tmp_path):
    first = submit(tmp_path / "run", tmp_path / "entries")[0]
    label = load_entry(first).result.spec.method.label
    change(first, result__spec__method__label=f"{label}_")
    with pytest.raises(EvenhandError, match=rf"has the entry of '{label}_', .* submit to an empty --entries"):
        submit(tmp_path / "run", tmp_path / "entries")
    assert load_entry(first).result.spec.method.label == f"{label}_"


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


def test_a_method_whose_fit_was_pulled_from_a_cache_is_left_out(run, tmp_path, evenhand):
    pulled = [
        one.model_copy(update={"cost": one.cost.model_copy(update={"fit_cache": "a cache"})})
        if one.spec.method.label == METHODS[1]
        else one
        for one in run.results
    ]
    RunFolder(tmp_path / "run").write_results(pulled)
    outcome = evenhand("board", "submit", tmp_path / "run", "--entries", tmp_path / "entries")
    assert outcome.code == 0, outcome.err
    written = {path.name for path in (tmp_path / "entries").iterdir()}
    assert written == {f"{label}@example-v1" for label in METHODS if label != METHODS[1]}
    assert f"not submitted: {METHODS[1]}, whose fit was pulled from a cache" in outcome.out.replace("\n", " ")


def test_all_fits_of_a_row_are_left_out_if_one_was_pulled(run):
    first, other = run.results[1:3]
    fit = {"label": f"{first.spec.method.label}:fit=2", "fit": 2, "fit_of": first.spec.method.label}
    card = other.spec.method.model_copy(update=fit)
    spec = other.spec.model_copy(update={"method": card})
    cost = other.cost.model_copy(update={"fit_cache": "a cache"})
    marked = run.model_copy(
        update={"results": [first, other.model_copy(update={"spec": spec, "cost": cost})]}
    )
    assert pulled_rows(marked) == [first.spec.method.label]
