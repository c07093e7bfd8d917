"""What a run shows in a notebook."""

import pytest
from helpers.stored_run import METHODS, a_stored_run


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
