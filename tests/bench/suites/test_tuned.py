"""Parameters that a suite takes from records of tuning."""

import json
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

import pytest
from helpers.tuning import a_record, a_trial

from evenhand.bench.errors import EvenhandError
from evenhand.bench.registry import spec_text
from evenhand.bench.registry.method_spec import method_class, parse_method
from evenhand.bench.results.result import Search
from evenhand.bench.results.tuning import read_tuning
from evenhand.bench.storage.files import folder_name
from evenhand.bench.suites.suite import load_suite, read_suite
from evenhand.bench.suites.toml_text import to_toml
from evenhand.bench.tuning.development import development_suite
from evenhand.bench.tuning.search import start_of
from evenhand.bench.tuning.summary import space_of


def suite_with(folder, *records):
    suite = load_suite("mini-2")
    tuning = suite.tuning.model_copy(update={"records": "records"})
    (folder / "records").mkdir()
    for record in records:
        (folder / "records" / f"{folder_name(record.method)}.json").write_text(record.text())
    path = folder / "suite.toml"
    path.write_text(to_toml(suite.model_copy(update={"tuning": tuning}).model_dump(mode="json")))
    return path


def a_winner(**fields):
    trials = [a_trial(0, 0.2, parameters={"weight": 0.75})]
    given = {"suite": "mini", "suite_version": "2", "method": "eos-swap", "trials_planned": 1}
    return a_record(**given | {"trials": trials} | fields)


def test_a_winner_overrides_the_table_of_the_suite_but_not_what_the_user_gives(tmp_path):
    suite = read_suite(suite_with(tmp_path, a_winner()))
    assert parse_method("eos-swap", suite=suite).method.weight == 0.75
    assert parse_method("eos-swap:weight=2", suite=suite).method.weight == 2


def test_a_method_says_what_the_search_for_its_parameters_has_taken(tmp_path):
    record = a_winner()
    suite = read_suite(suite_with(tmp_path, record))
    expected = Search(trials=1, passes=record.passes, record=record.digest())
    assert parse_method("eos-swap", suite=suite).search == expected
    assert parse_method("eos-swap:fit=2", suite=suite).search == expected
    assert parse_method("eos-swap:weight=0.75", suite=suite).search == expected, "the same value"
    assert parse_method("eos-swap:weight=2", suite=suite).search is None, "not the tuned one"
    assert parse_method("entigen", suite=suite).search is None


def test_a_method_with_another_value_that_the_search_has_fixed_is_not_the_tuned_one():
    suite = load_suite("mini-2")
    assert parse_method("mist", suite=suite).search is not None
    assert parse_method("mist:scope=per-concept", suite=suite).search is not None, "that of the search"
    other = parse_method("mist:negative_prompt=blurry", suite=suite)
    assert other.search is None
    assert other.method.step_size == parse_method("mist", suite=suite).method.step_size


def test_a_variant_that_was_tuned_by_itself_has_its_own_winner(tmp_path):
    joint = a_winner(method="mist:scope=joint", trials=[a_trial(0, 0.2, parameters={"step_size": 0.7})])
    suite = read_suite(suite_with(tmp_path, joint))
    found = parse_method("mist:scope=joint", suite=suite)
    assert (found.method.step_size, found.search.record) == (0.7, joint.digest())
    plain, given = (parse_method(text, suite=suite) for text in ("mist", "mist:scope=joint,rounds=3"))
    assert plain == parse_method("mist", suite=load_suite("mini-2"))
    assert given.search is None and given.method.step_size == 0.7
    copy = tmp_path / "copy.toml"
    copy.write_text(to_toml(suite.model_dump(mode="json")))
    assert read_suite(copy) == suite


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


def bundled_records():
    folder = files("evenhand.bench.suites") / "tuning" / "mini"
    return sorted(Path(str(folder)).glob("*.json"))


@pytest.mark.parametrize("path", bundled_records(), ids=lambda path: path.stem)
def test_a_bundled_record_is_of_the_method_and_the_development_prompts_of_today(path):
    suite, record = load_suite("mini-2"), read_tuning(path)
    name, fixed = spec_text.split(record.method, kind="method")
    method = method_class(name)
    assert folder_name(record.method) == path.stem and record.finished
    assert record.development == development_suite(suite).digest()
    assert record.method_version == method.info.version
    domains = {key: asdict(domain) for key, domain in method.space().items() if key not in fixed}
    space = json.loads(json.dumps(domains))
    assert record.space == space
    given = {**suite.methods.get(name, {}), **fixed}
    assert record.fixed == {name: value for name, value in given.items() if name not in space}
    assert suite.tuned[record.method] == record.winner.parameters


@pytest.mark.parametrize("path", bundled_records(), ids=lambda path: path.stem)
def test_the_search_of_a_bundled_record_starts_where_it_started(path):
    suite, record = development_suite(load_suite("mini-2")), read_tuning(path)
    name, fixed = spec_text.split(record.method, kind="method")
    stated, space = {**suite.methods.get(name, {}), **fixed}, space_of(record)
    method = method_class(name)(**stated)
    start = start_of(method, space, stated=stated, cells=suite.cells())
    assert json.dumps(start) == json.dumps(record.trials[0].parameters)
