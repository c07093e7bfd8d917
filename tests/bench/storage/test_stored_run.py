"""What a run shows in a notebook."""

import pytest
from helpers.stored_run import METHODS, a_stored_run

from evenhand.bench.errors import EvenhandError
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.storage.stored_run import load_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return a_stored_run(tmp_path_factory.mktemp("run"))


def test_run_results_and_estimates_are_tables_in_a_notebook(run):
    page = run._repr_html_()
    assert all(f"<td>{label}</td>" in page for label in METHODS)
    assert "rms_delta" in run.results[0]._repr_html_()
    row = run.result("mist").estimate("rms_delta", attributes="gender")
    assert f"<td>{row.value:.4g}</td>" in row._repr_html_()


def test_texts_of_a_notebook_are_escaped(tmp_path):
    hostile = "<img src=x onerror=alert(1)>"
    run = a_stored_run(tmp_path, methods=("base", hostile))
    row = run.result(hostile).estimates[0].model_copy(update={"concept": hostile})
    for shown in (run, run.result(hostile), row):
        assert "<img" not in shown._repr_html_()


def test_table_has_a_row_per_method(run):
    assert set(run.table().index) == set(METHODS)


def test_run_without_the_result_of_its_baseline_is_not_shown_as_one_that_has_none(tmp_path):
    a_stored_run(tmp_path)
    (tmp_path / "results" / "base.json").unlink()
    with pytest.raises(
        EvenhandError, match=r"baseline is missing; run the same `evenhand run` command again"
    ):
        load_run(tmp_path)


def test_results_of_several_suites_are_not_shown_as_one_run(tmp_path):
    result = a_stored_run(tmp_path).result("mist")
    copied = result.spec.model_copy(update={"suite_digest": "7f" * 32})
    RunFolder(tmp_path).write_results([result.model_copy(update={"spec": copied})])
    with pytest.raises(EvenhandError, match=r"'base' and 'mist' are of different suites; remove the one"):
        load_run(tmp_path)


def test_results_of_an_edited_suite_are_not_shown_as_those_of_the_suite(tmp_path):
    a_stored_run(tmp_path)
    path = tmp_path / "suite.toml"
    path.write_text(path.read_text().replace("draws = 2000", "draws = 1999"))
    with pytest.raises(EvenhandError, match=r"suite\.toml: suite is not the one of the results"):
        load_run(tmp_path)


@pytest.mark.parametrize("kept", [True, False], ids=["copied", "renamed"])
def test_a_result_in_the_file_of_another_method_is_refused(tmp_path, kept):
    a_stored_run(tmp_path)
    path = tmp_path / "results" / "mist.json"
    path.with_name("mist-old.json").write_bytes(path.read_bytes())
    if not kept:
        path.unlink()
    with pytest.raises(
        EvenhandError, match=r"mist-old\.json: result of 'mist' must be in the file mist\.json; remove"
    ):
        load_run(tmp_path)


@pytest.mark.parametrize("table", ["images", "labels"])
def test_a_run_without_a_table_is_not_shown_as_one_without_images(tmp_path, table):
    a_stored_run(tmp_path)
    (tmp_path / "tables" / f"{table}.parquet").unlink()
    with pytest.raises(EvenhandError, match=rf"{table}\.parquet: table is missing; run the same"):
        load_run(tmp_path)
