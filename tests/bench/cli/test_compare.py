"""``evenhand compare``: arguments that are not runs. Its numbers are tested in the room of the comparison."""

import pytest


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        (("{there}/a", "{there}/b"), "a: run does not exist; give the folder of a finished run"),
        (("{there}", "{there}"), "is not a run folder"),
    ],
)
def test_arguments_that_are_not_runs_are_a_one_line_error_and_write_nothing(evenhand, tmp_path, runs, reason):
    names = [run.format(there=tmp_path) for run in runs]
    outcome = evenhand("compare", *names, "--out", tmp_path / "page.html", "--json", tmp_path / "page.json")
    assert (outcome.code, outcome.out) == (2, "")
    assert reason in outcome.err and outcome.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_required(evenhand):
    outcome = evenhand("compare")
    assert outcome.code == 2 and "RUN" in outcome.err
