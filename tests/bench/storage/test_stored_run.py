"""What a run shows in a notebook."""

import pytest
from helpers.stored_run import METHODS, a_stored_run

from evenhand.bench.errors import EvenhandError
from evenhand.bench.storage.run_folder import RunFolder, load_run


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
