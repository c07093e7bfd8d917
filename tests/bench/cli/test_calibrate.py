"""``evenhand calibrate``: turns a run and labelled images into a table for suites."""

import json

import numpy as np
import pandas as pd
import pytest
from helpers.humans import a_run
from helpers.metrics import rows_of

from evenhand.bench.stages.resources import load_confusion
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.suites.suite import load_suite
from evenhand.metrics.correction.calibration import Calibration
from evenhand.metrics.correction.calibration import calibrate as matrix_of
from evenhand.metrics.estimation.anchors import confusion_from_anchors

SUITE = load_suite("mini")
LEANING = "vit"
"""A judge that labels a third of the men in stereotypically female occupations as women."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibrate") / "run"
    truth = a_run(folder)
    work = RunFolder(folder)
    work.labels.finish(_labels(truth, work.image_table.read()))
    rows = [(key, name, cell[name]) for key, cell in truth.items() for name in SUITE.taxonomy]
    anchors = pd.DataFrame(rows, columns=["key", "attribute", "label"])
    anchors.to_csv(folder.parent / "anchors.csv", index=False)
    return folder, anchors


def _labels(truth, images):
    rng, keys, parts = np.random.default_rng(0), list(truth), []
    concept = images.drop_duplicates("key").set_index("key")["concept"]
    for judge in SUITE.panel:
        for name, groups in SUITE.taxonomy.items():
            if judge == "tone-ita" and name != "tone":
                continue
            right = np.array([groups.index(truth[key][name]) for key in keys])
            wrong = rng.random(len(keys)) < 0.08
            if (judge, name) == (LEANING, "gender"):
                nurse = concept.loc[keys].to_numpy() == "nurse"
                wrong |= (right == groups.index("man")) & nurse & (rng.random(len(keys)) < 0.5)
            said = np.where(wrong, (right + 1) % len(groups), right)
            parts.append(rows_of(judge, keys, name, said, taxonomy=SUITE.taxonomy))
    return pd.concat(parts, ignore_index=True)


def calibrate(evenhand, folder, anchors, *more):
    return evenhand("calibrate", folder, "--anchors", anchors, "--out", folder.parent / "table.csv", *more)


@pytest.mark.slow
def test_the_confusion_table_matches_the_anchors_and_corrects_every_judge(evenhand, made):
    folder, anchors = made
    outcome = calibrate(evenhand, folder, folder.parent / "anchors.csv")
    assert outcome.code == 0, outcome.err
    table = load_confusion(str(folder.parent / "table.csv"))
    labels = RunFolder(folder).labels.read()
    expected = confusion_from_anchors(labels, anchors, taxonomy=SUITE.taxonomy, members=SUITE.panel)
    pd.testing.assert_frame_equal(table, expected.astype({"count": float}), check_dtype=False)
    found = matrix_of(table, judge="panel", attributes=["tone"], taxonomy=SUITE.taxonomy, draws=9, seed=0)
    assert isinstance(found, Calibration)
    first = (folder.parent / "table.csv").read_text().splitlines()[0]
    assert first.startswith(f"# {anchors['key'].nunique()} anchors among the images of run 'run'")
    assert all(judge in first for judge in SUITE.panel)


def test_the_output_lists_correctable_judges_and_errors_that_differ_between_strata(evenhand, made):
    folder, _ = made
    lines = calibrate(evenhand, folder, folder.parent / "anchors.csv").out.splitlines()
    own = next(line for line in lines if line.startswith("clip-s") and " gender " in line)
    assert " 240 " in own and " 120 " in own and own.rstrip().endswith("corrected")
    unlike = [line.split()[:4] for line in lines if line.startswith(LEANING) and "stereotype" in line]
    assert [LEANING, "gender", "man", "stereotype"] in unlike
    assert lines[-1].endswith("table.csv (240 anchors)")


def test_json_has_every_test_and_matches_a_manual_count(evenhand, made):
    folder, anchors = made
    done = json.loads(calibrate(evenhand, folder, folder.parent / "anchors.csv", "--json").out)
    labels = RunFolder(folder).labels.read()
    own = labels[(labels["judge"] == LEANING) & (labels["attribute"] == "gender")].set_index("key")["label"]
    shown = anchors[anchors["attribute"] == "gender"].set_index("key")["label"]
    right = (own.loc[shown.index] == shown).groupby(shown).mean()
    row = next(row for row in done["measured"] if (row["judge"], row["attributes"]) == (LEANING, "gender"))
    assert row["recall"] == pytest.approx(right.to_dict())
    strata = {(row["judge"], row["attribute"], row["strata"]) for row in done["carried"]}
    assert {(LEANING, "gender", name) for name in ("kind", "stereotype", "model")} <= strata
    man = next(
        row
        for row in done["carried"]
        if (row["judge"], row["attribute"], row["group"], row["strata"])
        == (LEANING, "gender", "man", "stereotype")
    )
    assert not man["alike"] and man["wrong"]["female"] > man["wrong"]["male"]
    # Two occupations are male and one is female; only neutral prompts have a stereotype.
    assert man["n"] == {"female": 20, "male": 40}


@pytest.mark.slow
def test_an_inaccurate_judge_is_not_corrected_and_the_reason_is_given(evenhand, made):
    folder, anchors = made
    swapped = anchors.replace({"woman": "man", "man": "woman"})
    swapped.to_csv(folder.parent / "swapped.csv", index=False)
    out = calibrate(evenhand, folder, folder.parent / "swapped.csv").out
    assert "not corrected: a group is recognised in only" in out
    one = anchors[anchors["label"] != "woman"]
    one.to_csv(folder.parent / "one.csv", index=False)
    out = calibrate(evenhand, folder, folder.parent / "one.csv").out
    assert "not corrected: a group has no anchors" in out


@pytest.mark.slow
def test_unequal_sampling_probabilities_are_weighted_and_reported(evenhand, made):
    folder, anchors = made
    chance = anchors["key"].map({key: 0.2 + 0.6 * (n % 2) for n, key in enumerate(anchors["key"].unique())})
    anchors.assign(probability=chance).to_csv(folder.parent / "weighed.csv", index=False)
    done = json.loads(calibrate(evenhand, folder, folder.parent / "weighed.csv", "--json").out)
    assert "unequal probabilities" in done["remarks"][0] and "compared with weights" in done["remarks"][0]
    row = next(row for row in done["measured"] if (row["judge"], row["attributes"]) == ("clip-s", "gender"))
    assert 100 < row["anchors"] < 240 and row["independence"] is None
    labels = RunFolder(folder).labels.read()
    own = labels[(labels["judge"] == LEANING) & (labels["attribute"] == "gender")].set_index("key")["label"]
    images = RunFolder(folder).image_table.read().drop_duplicates("key").set_index("key")
    part = anchors[(anchors["attribute"] == "gender") & (anchors["label"] == "man")].set_index("key")
    part = part[(images.loc[part.index, ["concept", "kind"]] == ["nurse", "neutral"]).all(axis=1)]
    wrong = own.loc[part.index] != "man"
    weight = 1 / chance.set_axis(anchors["key"]).groupby(level=0).first().loc[part.index]
    carried = next(
        row
        for row in done["carried"]
        if (row["judge"], row["attribute"], row["group"], row["strata"])
        == (LEANING, "gender", "man", "stereotype")
    )
    assert carried["wrong"]["female"] == pytest.approx((weight * wrong).sum() / weight.sum())
    assert carried["n"]["female"] == len(part) and not carried["alike"]


def test_empty_labels_are_counted_and_reported(evenhand, made):
    folder, anchors = made
    untold = anchors.assign(label=anchors["label"].where(anchors.index % 10 > 0, ""))
    untold.to_csv(folder.parent / "untold.csv", index=False)
    out = calibrate(evenhand, folder, folder.parent / "untold.csv").out
    assert "note: 72 empty labels are ignored" in out


FAULTS = {
    "key,attribute,label\n": "no rows after the header",
    "key,label\nk,woman\n": "column 'attribute' is missing",
    "key,attribute,label\nk,gender,woman\n": "'k' is not an image",
    "key,attribute,label\n{key},gender,wommen\n": "did you mean 'woman'",
    "key,attribute,label\n{key},gendre,woman\n": "did you mean 'gender'",
    "key,attribute,label\n{key},gender,\n": "none of 1 anchors has a label",
    "key,attribute,label,probability\n{key},gender,woman,2\n": "above 0 and at most 1",
}


@pytest.mark.parametrize("text", FAULTS)
def test_an_invalid_anchor_file_is_a_one_line_error_and_nothing_is_written(evenhand, made, tmp_path, text):
    folder, anchors = made
    path, out = tmp_path / "anchors.csv", tmp_path / "table.csv"
    path.write_text(text.format(key=anchors["key"].iloc[0]))
    outcome = evenhand("calibrate", folder, "--anchors", path, "--out", out)
    assert outcome.code == 2 and FAULTS[text] in outcome.err
    assert len(outcome.err.splitlines()) == 1 and not out.exists()


def test_a_folder_that_is_not_a_run_is_an_error(evenhand, tmp_path):
    outcome = evenhand("calibrate", tmp_path, "--anchors", tmp_path / "a.csv", "--out", tmp_path / "b.csv")
    assert outcome.code == 2 and "is not a run" in outcome.err
