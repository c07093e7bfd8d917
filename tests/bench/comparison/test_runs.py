"""Runs of a comparison: names, pairs, and what they must have in common."""

from pathlib import Path

import pytest
from helpers.report import a_result
from helpers.stored_run import a_stored_run

from evenhand.bench.comparison.runs import (
    MAX_PAIRS,
    Compared,
    check_comparable,
    check_targets,
    load_compared,
    pairs_of,
    shared_confusion,
    shared_evaluation_config,
    with_distinct_names,
)
from evenhand.bench.errors import EvenhandError
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.suites.evaluation_config import EvaluationConfig
from evenhand.bench.suites.suite import load_suite

CONFIG = EvaluationConfig.of(load_suite("mini"))


def run(root, *methods, tag="", anchored=False, **changes):
    return Compared(
        name=Path(root).name,
        tag=tag,
        work=RunFolder(Path(root)),
        evaluation_config=CONFIG.model_copy(update=changes),
        anchored=anchored,
        results={method: a_result(method) for method in methods or ("base",)},
    )


def pairs(first, second):
    named = with_distinct_names([run("/r/one", *first), run("/r/two", *second)])
    return pairs_of(named)


def test_runs_have_the_shortest_names_that_differ():
    found = with_distinct_names([run("/a/x/run"), run("/a/y/run"), run("/a/other")])
    assert [each.name for each in found] == ["x/run", "y/run", "other"]
    assert found[0].label("mist") == "mist (x/run)"


def test_methods_of_one_run_keep_their_labels_and_a_run_given_twice_is_numbered():
    one, other = with_distinct_names([run("/a/run", "base"), run("/a/run", "mist")])
    assert (one.label("base"), other.label("mist")) == ("base", "mist")
    found = with_distinct_names([run("/a/run"), run("/a/run"), run("/a/run")])
    assert [each.label("base") for each in found] == ["base", "base (#2)", "base (#3)"]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (("base", "mist"), ("base", "mist"), [("base", "base"), ("mist", "mist")]),
        (("base", "mist"), ("base", "uce"), [("base", "base"), ("uce", "mist")]),
        (("base",), ("base", "uce"), [("base", "base"), ("uce", "base")]),
        (("mist",), ("uce",), [("uce", "mist")]),
    ],
)
def test_methods_are_paired_by_name_then_with_each_other_then_with_the_baseline(first, second, expected):
    assert pairs(first, second) == [(f"{one} (two)", f"{other} (one)") for one, other in expected]


@pytest.mark.slow
def test_too_many_pairs_are_an_error():
    methods = [f"m{n}" for n in range(MAX_PAIRS)]
    assert len(pairs(methods, methods)) == MAX_PAIRS
    with pytest.raises(EvenhandError, match="at most 12 pairs, got 13; select methods with RUN@METHOD"):
        pairs([*methods, "base"], [*methods, "base"])


def test_attributes_and_judges_must_be_the_same():
    check_comparable([run("/r/one"), run("/r/two")])
    with pytest.raises(
        EvenhandError, match=r"one and two have different attributes or groups .*gender: man/woman"
    ):
        check_comparable([run("/r/one"), run("/r/two", attributes={"gender": ("man", "woman")})])
    other = run("/r/two")
    spec = other.results["base"].spec
    newer = [card.model_copy(update={"version": "2"}) for card in spec.judges]
    result = other.results["base"].model_copy(update={"spec": spec.model_copy(update={"judges": newer})})
    other.results["base"] = result
    with pytest.raises(EvenhandError, match=r"one and two have different judges .*same panel"):
        check_comparable([run("/r/one"), other])


def test_targets_must_be_the_same_whatever_sets_are_reported():
    check_targets([run("/r/one"), run("/r/two", report=(("gender",),))], ["nurse"])
    with pytest.raises(EvenhandError, match="one and two have different targets; give both suites the same"):
        check_targets([run("/r/one"), run("/r/two", target="labour")], ["nurse"])


def test_numbers_are_corrected_only_with_one_table_of_all_runs():
    same, remarks = shared_confusion([run("/r/one", calibration="mini"), run("/r/two", calibration="mini")])
    assert len(same) and remarks == []
    for other in (run("/r/two", calibration=""), run("/r/two", calibration="mini", anchored=True)):
        table, (remark,) = shared_confusion([run("/r/one", calibration="mini"), other])
        assert table.empty and remark.endswith("all numbers are compared without correction")


def test_metrics_are_those_of_all_runs_and_differences_are_remarked():
    found, remarks = shared_evaluation_config(
        [
            run("/r/one", metrics=("js_divergence", "fd_l2"), scorer="mini"),
            run("/r/two", metrics=("fd_l2",), scorer="", primary=("age",)),
        ]
    )
    assert (found.metrics, found.scorer, found.primary) == (("fd_l2",), "", CONFIG.primary)
    assert remarks == [
        "alignment is not compared: the runs have different scorers (mini in one, none in two)",
        "the primary metric is that of the first run; the runs differ in it",
    ]
    assert shared_evaluation_config([run("/r/one"), run("/r/two")])[1] == []


def test_a_run_is_loaded_with_one_method_or_all(tmp_path):
    folder = tmp_path / "run"
    a_stored_run(folder, concepts=("nurse",), seeds=1, side=8)
    assert list(load_compared(str(folder)).results) == ["base", "mist", "uce"]
    one = load_compared(f"{folder}@mist")
    assert list(one.results) == ["mist"] and set(one.image_table()["method"]) == {"mist"}
    with pytest.raises(EvenhandError, match=r"unknown method of run .*'mits'; did you mean 'mist'"):
        load_compared(f"{folder}@mits")
    with pytest.raises(EvenhandError, match="run does not exist; give the folder of a finished run"):
        load_compared(str(tmp_path / "none"))


def test_damaged_embeddings_are_an_error_because_a_comparison_cannot_regenerate_them(tmp_path):
    table = RunFolder(tmp_path).vectors.path
    table.parent.mkdir()
    table.write_bytes(b"PAR1")
    with pytest.raises(EvenhandError, match=r"vectors.*truncated or altered; run the same `evenhand run`"):
        _ = run(tmp_path).scorers
