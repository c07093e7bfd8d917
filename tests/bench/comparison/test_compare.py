"""``evenhand compare``: pairs by prompt and seed, checked against the tables of the runs themselves."""

import json
import math
from shutil import copytree

import pandas as pd
import pytest
from helpers.compare import a_run, labelled
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from evenhand.bench import compare
from evenhand.bench.comparison.compare import CLAIMED
from evenhand.bench.results.comparison import Comparison
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.storage.stored_run import load_run
from evenhand.reports.comparison.report import render_comparison

pytestmark = pytest.mark.slow

METHOD = "random-attribute-prompt"


@pytest.fixture(scope="module")
def one():
    return a_run("one", "base", METHOD)


@pytest.fixture(scope="module")
def more():
    return a_run("more", "base", "entigen")


@pytest.fixture(scope="module")
def methods(one):
    """Two methods of one run."""
    return compare(f"{one}@base", f"{one}@{METHOD}")


@pytest.fixture(scope="module")
def runs(one, more):
    """Two runs of which the second has more concepts and more seeds."""
    return compare(one, more)


def naive(comparison, metric, **wanted):
    return [
        row
        for row in comparison.differences
        if row.metric == metric
        and not row.corrected
        and all(getattr(row, name) == value for name, value in wanted.items())
    ]


def sides(one):
    """Perceived gender before and after, by prompt and seed, of images with a label on both sides."""
    frames = [labelled(one, name) for name in ("base", METHOD)]
    both = frames[0].join(frames[1], lsuffix="_before", rsuffix="_after")
    assert len(both) == 8
    decided = (both["status_of_label_before"] == "ok") & (both["status_of_label_after"] == "ok")
    return both[decided]


def test_share_differences_of_every_concept_match_the_tables(methods, one):
    found = naive(methods, "share", attributes="gender", group="woman")
    rows = {row.concept: row.value for row in found if row.concept}
    before, after = (
        frame[frame["status_of_label"] == "ok"]
        .groupby("concept")["label"]
        .agg(lambda x: (x == "woman").mean())
        for frame in (labelled(one, "base"), labelled(one, METHOD))
    )
    assert rows == pytest.approx((after - before).to_dict())
    assert any(value for value in rows.values())


def test_changed_labels_are_those_of_the_same_prompt_and_seed(methods, one):
    both = sides(one)
    (flips,) = [row for row in methods.flips if not row.concept]
    table = pd.crosstab(both["label_before"], both["label_after"]).reindex(
        index=flips.groups, columns=flips.groups, fill_value=0
    )
    assert flips.table == table.to_numpy().tolist()
    assert flips.changed == pytest.approx((both["label_before"] != both["label_after"]).mean())
    changed = int((both["label_before"] != both["label_after"]).sum())
    assert (flips.low, flips.high) == pytest.approx(proportion_confint(changed, len(both), method="wilson"))
    assert flips.p == pytest.approx(mcnemar(table, exact=True).pvalue)


def test_the_sides_of_a_difference_are_measured_on_the_shared_images(methods):
    after, before = (methods.side(label).result for label in (METHOD, "base"))
    (row,) = naive(methods, "excess_agreement", attributes="gender", judge="panel", concept="")

    def value(result):
        (found,) = [
            e
            for e in result.estimates
            if e.metric == "excess_agreement" and e.judge == "panel" and not e.concept
        ]
        return found.value

    assert row.value == pytest.approx(value(after) - value(before))
    assert row.low <= row.value <= row.high


def test_effects_on_unrelated_images_are_compared_on_the_same_noise(methods):
    assert methods.same_noise
    (row,) = [row for row in methods.differences if row.metric == "preservation_distance"]
    assert row.kind == "unrelated"
    assert math.isfinite(row.value)


def copied(run, folder, **spec):
    """A copy of a run; ``spec`` changes what its results say of the model."""
    copytree(run, folder)
    results = load_run(folder).results
    changed = [each.model_copy(update={"spec": each.spec.model_copy(update=spec)}) for each in results]
    RunFolder(folder).write_results(changed)
    return folder


@pytest.mark.parametrize(
    ("spec", "same"),
    [
        ({}, True),
        ({"model": "other"}, False),
        ({"model_revision": "b" * 40}, False),
        ({"protocol": {"width": 32}}, False),
        ({"protocol": {}}, False),
    ],
    ids=["the same", "model", "revision", "size", "an audit"],
)
def test_equal_seeds_are_the_same_noise_only_with_the_same_model_and_size(one, tmp_path, spec, same):
    comparison = compare(one, copied(one, tmp_path / "two", **spec))
    assert comparison.same_noise is same
    assert CLAIMED not in comparison.caveats


def test_seeds_of_two_image_lists_are_said_to_claim_the_same_noise(one, tmp_path):
    lists = [
        copied(one, tmp_path / name, protocol={}, model=name, model_revision=name) for name in ("a", "b")
    ]
    comparison = compare(*lists)
    assert comparison.same_noise
    assert CLAIMED in comparison.caveats


def test_methods_are_paired_by_name_and_otherwise_with_the_baseline(runs):
    assert [(pair.label, pair.against) for pair in runs.pairs] == [
        ("base (more)", "base (one)"),
        ("entigen (more)", f"{METHOD} (one)"),
    ]


def test_only_shared_prompts_and_seeds_are_compared_and_the_rest_is_counted(runs):
    assert (runs.prompts, runs.shared, runs.concepts) == (2, 8, ["nurse", "CEO"])
    assert [side.images for side in runs.sides] == [12, 12, 18, 18]
    assert {side.result.coverage.planned for side in runs.sides} == {8}
    assert (
        "only images of shared prompts and seeds are compared: 8 of 12 of one, 8 of 18 of more"
        in runs.caveats
    )


def test_shared_baseline_images_are_identical(runs):
    same, other = runs.pairs
    assert same.same_images
    assert not other.same_images
    rows = [row for row in runs.differences if row.label == same.label]
    assert {(row.value, row.low, row.high) for row in rows if math.isfinite(row.value)} == {(0, 0, 0)}


def test_a_run_compared_with_itself_has_no_differences(one):
    comparison = compare(one, one)
    assert [(pair.label, pair.against) for pair in comparison.pairs] == [
        ("base (#2)", "base"),
        (f"{METHOD} (#2)", METHOD),
    ]
    assert all(pair.same_images for pair in comparison.pairs)
    assert {row.value for row in comparison.differences if math.isfinite(row.value)} == {0}
    assert {row.changed for row in comparison.flips if row.n} == {0}
    assert "nothing differs" in render_comparison(comparison)


def test_swapping_the_sides_flips_the_sign_of_every_difference(methods, one):
    back = compare(f"{one}@{METHOD}", f"{one}@base")
    forth = {
        (r.metric, r.attributes, r.kind, r.judge, r.concept, r.group, r.corrected): r
        for r in methods.differences
    }
    for row in back.differences:
        other = forth[row.metric, row.attributes, row.kind, row.judge, row.concept, row.group, row.corrected]
        if row.metric != "preservation_distance" and math.isfinite(row.value):
            assert row.value == pytest.approx(-other.value)
            assert (row.low, row.high) == pytest.approx((-other.high, -other.low))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fewer-judges", "have different judges (clip-s "),
        ("other-words", "share no prompt; compare runs of the same prompts"),
        ("other-target", "have different targets; give both suites the same target"),
        ("other-groups", "have different attributes or groups (gender: woman/man; tone: light/medium/dark)"),
    ],
)
def test_runs_with_incompatible_definitions_are_rejected(evenhand, one, tmp_path, name, reason):
    outcome = evenhand("compare", one, a_run(name), "--out", tmp_path / "page.html")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert reason in outcome.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        (("{one}",), "needs at least two runs"),
        (("{one}", "{one}-gone"), "does not exist; give the folder of a finished run"),
        (("{one}", "{one}@entigenn"), "'entigenn'"),
        (("{one}", "{empty}"), "{empty}"),
    ],
    ids=["one run", "no folder", "no such method", "no run"],
)
def test_arguments_that_are_not_runs_are_a_one_line_error(evenhand, one, tmp_path, runs, reason):
    names = {"one": one, "empty": tmp_path}
    outcome = evenhand("compare", *(run.format(**names) for run in runs), "--out", tmp_path / "page.html")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert reason.format(**names) in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_the_headline_and_writes_the_page_and_every_number(evenhand, one, more, tmp_path):
    page, record = tmp_path / "page.html", tmp_path / "record.json"
    outcome = evenhand("compare", one, more, "--out", page, "--json", record)
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0].split()[:2] == ["method", "minus"]
    assert lines[1].startswith("base (more)")
    assert lines[-1] == f"comparison: {page}"
    assert "note: only images of shared prompts" in outcome.err
    read = Comparison.model_validate(json.loads(record.read_text()))
    assert read.to_json() == record.read_text()
    assert len(read.to_dataframe()) == len(read.differences) > 0


def test_the_same_runs_give_the_same_bytes(one, more, runs):
    again = compare(one, more)
    assert again.to_json() == runs.to_json()


def test_nothing_is_written_into_the_runs(evenhand, one, more, tmp_path):
    def state():
        return {path: path.stat().st_mtime_ns for run in (one, more) for path in run.rglob("*")}

    before = state()
    assert evenhand("compare", one, more, "--out", tmp_path / "page.html").code == 0
    assert state() == before
