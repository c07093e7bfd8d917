"""Labels aggregated over annotators, against crowd-kit and the latent class model."""

import numpy as np
import pytest
from crowdkit.aggregation import MajorityVote
from helpers.answers import TRUTH, flip, said, table_of, three_and_one
from helpers.metrics import read

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.annotation.truth import AGGREGATE, anchors_of, human_rows
from evenhand.metrics.estimation.anchors import check_anchors
from evenhand.metrics.judge_quality.latent_class import dawid_skene
from evenhand.metrics.table import LABEL_COLUMNS

TAXONOMY = {"gender": ("woman", "man"), "age": ("adult", "older")}


def of(rows, judge, column="label"):
    return dict(zip(rows["key"][rows["judge"] == judge], rows[column][rows["judge"] == judge], strict=True))


@pytest.mark.filterwarnings("ignore:The inplace keyword")
def test_majority_matches_crowd_kit_and_a_tie_is_undetermined():
    rng = np.random.default_rng(1)
    rows = [r for n in "abcde" for r in said(n, rng.choice(["woman", "man", "cannot_tell"], 40).tolist())]
    table = table_of(rows)
    found = human_rows(table, taxonomy=TAXONOMY, rule="majority")
    theirs = MajorityVote().fit_predict_proba(
        table.rename(columns={"key": "task", "annotator_id": "worker"})[["task", "worker", "label"]]
    )
    posteriors = of(found, AGGREGATE, "probabilities")
    for key, shares in theirs.iterrows():
        expected = [shares[name] for name in ("woman", "man", "cannot_tell")]
        assert list(posteriors[key]) == pytest.approx(expected)
    winners = {key: row.idxmax() if row.max() > 0.5 else "" for key, row in theirs.iterrows()}
    winners = {key: "" if label == "cannot_tell" else label for key, label in winners.items()}
    assert of(found, AGGREGATE) == winners
    tied = human_rows(
        table_of([*said("ann", ["woman"]), *said("bo", ["man"])]), taxonomy=TAXONOMY, rule="majority"
    )
    assert (of(tied, AGGREGATE), of(tied, AGGREGATE, "status")) == ({"k00": ""}, {"k00": "low_confidence"})


@pytest.fixture(scope="module")
def published():
    """The public four-annotator answers on generated images as an answer table."""
    patterns = read("sd_gender_human_label_patterns").query("source == 'SD'")
    wide = patterns.loc[patterns.index.repeat(patterns["count"]), ["a1", "a2", "a3", "a4"]]
    wide.index = [f"k{number:04d}" for number in range(len(wide))]
    words = {"Male": "man", "Female": "woman", "Pass": "cannot_tell"}
    long = wide.rename_axis("key").reset_index().melt("key", var_name="annotator_id", value_name="label")
    long = long.dropna()
    return table_of(long.assign(label=long["label"].map(words)).to_dict("records"))


@pytest.mark.slow
def test_the_default_aggregate_is_dawid_skene_with_cannot_tell_as_an_answer(published):
    found = human_rows(published, taxonomy=TAXONOMY)
    rows = found[found["judge"] == AGGREGATE]
    codes = published.assign(code=published["label"].map({"woman": 0, "man": 1, "cannot_tell": 2})).pivot(
        index="key", columns="annotator_id", values="code"
    )
    fit = dawid_skene(codes.fillna(-1).to_numpy(int), classes=3)
    assert np.array(rows["probabilities"].tolist()) == pytest.approx(fit.posteriors)
    assert set(rows["status"]) == {"ok", "low_confidence"}
    # The reference share of undetermined images is 0.166, without smoothing.
    assert (rows["status"] != "ok").mean() == pytest.approx(0.166, abs=0.005)


@pytest.mark.slow
def test_every_annotator_is_one_judge_of_the_label_table(published):
    found = human_rows(published, taxonomy=TAXONOMY)
    assert list(found.columns) == list(LABEL_COLUMNS)
    assert set(found["judge"]) == {"human:a1", "human:a2", "human:a3", "human:a4", AGGREGATE}
    assert set(found["family"]) == {"human"}
    assert ((found["label"] == "") == (found["status"] != "ok")).all()
    assert len(found) == len(published) + published["key"].nunique()
    assert found.groupby(["judge", "attribute"])["judge_version"].nunique().eq(1).all()


@pytest.mark.slow
def test_the_version_changes_with_an_annotation(published):
    other = published.copy()
    other.loc[0, "label"] = "woman" if other.loc[0, "label"] == "man" else "man"
    first, second = (
        human_rows(t, taxonomy=TAXONOMY).drop_duplicates("judge").set_index("judge")["judge_version"]
        for t in (published, other)
    )
    assert set(first.index[first != second]) == {f"human:{other.loc[0, 'annotator_id']}", AGGREGATE}


def test_two_annotators_get_a_majority_and_no_latent_class_model():
    table = table_of([*said("ann", TRUTH), *said("bo", TRUTH)])
    assert of(human_rows(table, taxonomy=TAXONOMY), AGGREGATE)["k00"] == "woman"
    with pytest.raises(EvenhandError, match="gender has 2 annotators and dawid-skene needs 3"):
        human_rows(table, taxonomy=TAXONOMY, rule="dawid-skene")


def test_images_without_people_and_with_several_have_their_status():
    rows = [
        row
        for name in ("ann", "bo", "cy")
        for row in (
            {"key": "k0", "annotator_id": name, "label": "cannot_tell", "n_people": "none"},
            {"key": "k1", "annotator_id": name, "label": "cannot_tell", "n_people": "several"},
            {"key": "k2", "annotator_id": name, "label": "woman", "n_people": "several"},
            {"key": "k3", "annotator_id": name, "label": "other", "n_people": "one"},
        )
    ]
    found = human_rows(table_of(rows), taxonomy=TAXONOMY, rule="majority")
    statuses = {"k0": "no_person", "k1": "multi_person", "k2": "ok", "k3": "low_confidence"}
    assert of(found, "human:ann", "status") == of(found, AGGREGATE, "status") == statuses


def test_excluded_annotators_keep_their_rows_and_do_not_enter_the_aggregate():
    table = three_and_one([flip(label) for label in TRUTH])
    found = human_rows(table, taxonomy=TAXONOMY, left_out=["odd"])
    assert of(found, "human:odd")["k00"] == "man"
    assert list(of(found, AGGREGATE).values()) == TRUTH
    with pytest.raises(EvenhandError, match="the checks leave out every annotator"):
        human_rows(table, taxonomy=TAXONOMY, left_out=["ann", "bo", "cy", "odd"])


@pytest.mark.slow
def test_anchors_are_the_sampled_images_with_their_probability(published):
    rows = human_rows(published, taxonomy=TAXONOMY)
    drawn = {"k0000": 0.25, "k0001": 1.0}
    anchors = anchors_of(rows, drawn)
    assert dict(zip(anchors["key"], anchors["probability"], strict=True)) == drawn
    assert len(check_anchors(anchors, taxonomy=TAXONOMY)) == 2
