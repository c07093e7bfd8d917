"""Parameters that a suite takes from records of tuning."""

import pytest
from helpers.tuning import a_record, a_trial

from evenhand.bench.errors import EvenhandError
from evenhand.bench.registry.method_spec import parse_method
from evenhand.bench.suites.suite import load_suite, read_suite, to_toml


def suite_with(folder, *records):
    suite = load_suite("mini-2")
    tuning = suite.tuning.model_copy(update={"records": "records"})
    (folder / "records").mkdir()
    for record in records:
        (folder / "records" / f"{record.method}.json").write_text(record.text())
    path = folder / "suite.toml"
    path.write_text(to_toml(suite.model_copy(update={"tuning": tuning}).model_dump(mode="json")))
    return path


def a_winner(**fields):
    trial = a_trial(0, 0.2, parameters={"weight": 0.75})
    given = {"suite": "mini", "suite_version": "2", "method": "eos-swap", "trials_planned": 1}
    return a_record(trial, **given | fields)


def test_a_winner_overrides_the_table_of_the_suite_but_not_what_the_user_gives(tmp_path):
    suite = read_suite(suite_with(tmp_path, a_winner()))
    assert parse_method("eos-swap", suite=suite).method.weight == 0.75
    assert parse_method("eos-swap:weight=2", suite=suite).method.weight == 2


def test_a_run_keeps_the_parameters_without_the_records(tmp_path):
    suite = read_suite(suite_with(tmp_path, a_winner()))
    copy = tmp_path / "copy.toml"
    copy.write_text(to_toml(suite.model_dump(mode="json")))
    assert read_suite(copy) == suite


def test_records_do_not_change_the_digest(tmp_path):
    assert read_suite(suite_with(tmp_path, a_winner())).digest() == load_suite("mini-2").digest()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"suite_version": "1"}, "is a record of suite 'mini' version 1, not of 'mini' version 2"),
        ({"trials_planned": 2}, "has no winner yet; run `evenhand tune` again"),
    ],
)
def test_a_record_that_does_not_fit_is_refused(tmp_path, fields, message):
    with pytest.raises(EvenhandError, match=message):
        read_suite(suite_with(tmp_path, a_winner(**fields)))


def test_a_missing_folder_is_an_error(tmp_path):
    path = suite_with(tmp_path)
    (tmp_path / "records").rmdir()
    with pytest.raises(EvenhandError, match="no folder"):
        read_suite(path)
