"""Checks of annotators, aggregated labels, and samples for annotation."""

import numpy as np
import pandas as pd
import pytest
from crowdkit.aggregation import MajorityVote
from helpers.metrics import read
from hypothesis import given, settings
from hypothesis import strategies as st
from krippendorff import alpha as reference_alpha

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.annotation.answers import ANSWER_COLUMNS
from evenhand.metrics.annotation.checks import alpha_against_others, answers_needed, check_annotators
from evenhand.metrics.annotation.sampling import allocate, draw_sample
from evenhand.metrics.annotation.truth import AGGREGATE, anchors_of, human_rows
from evenhand.metrics.estimation.anchors import check_anchors
from evenhand.metrics.judge_quality.latent_class import dawid_skene
from evenhand.metrics.table import LABEL_COLUMNS

TAXONOMY = {"gender": ("woman", "man"), "age": ("adult", "older")}
NO_GOLD = pd.DataFrame(columns=["key", "attribute", "label"])


def table_of(rows, attribute="gender"):
    """An answer table from ``(image, annotator, label)`` and perhaps further columns."""
    defaults = {"attribute": attribute, "n_people": "one", "is_repeat": False, "is_gold": False}
    frame = pd.DataFrame([defaults | row for row in rows])
    table = frame.reindex(columns=["key", *ANSWER_COLUMNS])
    return table.assign(seconds=np.nan, form_version="", batch_id="", timestamp="")


def said(annotator, labels, **facts):
    """One annotator's labels of images ``k00``, ``k01``, …; ``None`` for no answer."""
    return [
        {"key": f"k{number:02d}", "annotator_id": annotator, "label": label, **facts}
        for number, label in enumerate(labels)
        if label
    ]


def flip(label):
    return {"woman": "man", "man": "woman"}[label]


TRUTH = ["woman", "man"] * 15


def three_and_one(odd):
    """Three good annotators and one more."""
    good = [row for name in ("ann", "bo", "cy") for row in said(name, TRUTH)]
    return table_of([*good, *said("odd", odd)])


def check_of(table, name, gold=NO_GOLD):
    (found,) = [c for c in check_annotators(table, taxonomy=TAXONOMY, gold=gold) if c.annotator == name]
    return found


def gold_of(labels):
    return pd.DataFrame(
        {"key": [f"k{n:02d}" for n in range(len(labels))], "attribute": "gender", "label": labels}
    )


def test_annotators_who_agree_with_the_others_are_kept():
    check = check_of(three_and_one(TRUTH), "odd")
    assert (check.reason, check.alpha, check.shared, check.images) == ("", 1.0, 30, 30)


def test_annotators_who_disagree_with_the_others_are_excluded():
    check = check_of(three_and_one([*TRUTH[:15], *map(flip, TRUTH[15:])]), "odd")
    assert check.alpha < 0.1
    assert check.reason.startswith("alpha ") and check.reason.endswith(
        "with the other annotators on gender, 0.6 needed"
    )
    assert check_of(three_and_one([*TRUTH[:27], *map(flip, TRUTH[27:])]), "odd").reason == ""


def test_low_gold_accuracy_excludes_an_annotator_and_cannot_tell_is_wrong():
    table = three_and_one(["cannot_tell", "cannot_tell", *TRUTH[2:]])
    check = check_of(table, "odd", gold_of(TRUTH[:5]))
    assert (check.gold, check.gold_accuracy) == (5, 0.6)
    assert check.reason == "60% correct on gender of 5 gold images, 80% needed"
    assert check_of(table, "odd", gold_of(TRUTH[:4])).reason == ""
    assert check_of(table, "ann", gold_of(TRUTH[:5])).reason == ""


def test_an_annotator_of_one_image_is_excluded_unchecked():
    check = check_of(three_and_one(TRUTH[:1]), "odd")
    assert check.reason == "1 images annotated, 10 needed for a check"


def test_repeats_measure_consistency_and_exclude_nobody():
    again = said("odd", ["woman", "woman", "woman", "man"], is_repeat=True)
    table = pd.concat([three_and_one(TRUTH), table_of(again)], ignore_index=True)
    check = check_of(table, "odd")
    assert (check.repeats, check.consistency, check.reason) == (4, 0.75, "")
    alone = human_rows(three_and_one(TRUTH), taxonomy=TAXONOMY)
    pd.testing.assert_frame_equal(human_rows(table, taxonomy=TAXONOMY), alone)


def test_alpha_against_one_other_rater_equals_krippendorffs_alpha():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, size=(2, 80))
    data = np.where(codes < 3, codes, np.nan).astype(float)
    found, units = alpha_against_others(codes, 0, 3)
    assert found == pytest.approx(reference_alpha(data, level_of_measurement="nominal"), abs=1e-12)
    assert units == (codes < 3).all(axis=0).sum()


def test_a_bad_annotator_does_not_lower_the_alpha_of_good_ones():
    rng = np.random.default_rng(2)
    table = three_and_one(rng.choice(["woman", "man"], len(TRUTH)).tolist())
    assert [bool(c.reason) for c in check_annotators(table, taxonomy=TAXONOMY, gold=NO_GOLD)] == [
        False,
        False,
        False,
        True,
    ]


def test_images_on_which_three_disagree_need_more_annotators():
    rows = [
        *said("ann", ["woman", "woman", "woman", "woman"]),
        *said("bo", ["woman", "man", "woman", "man"]),
        *said("cy", [None, "cannot_tell", "woman", "man"]),
        *said("dee", [None, None, None, "woman"]),
    ]
    assert answers_needed(table_of(rows), taxonomy=TAXONOMY).to_dict() == {
        "k00": 1,
        "k01": 2,
        "k02": 0,
        "k03": 1,
    }
    assert answers_needed(table_of(rows), taxonomy=TAXONOMY, without=["cy"])["k02"] == 1


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


def a_pool(sizes):
    """Images in strata; the vote is the first letter of the stratum."""
    rows = [(f"{name}{n:04d}", name, name[0]) for name, size in sizes.items() for n in range(size)]
    return pd.DataFrame(rows, columns=["key", "stratum", "vote"])


def test_rare_vote_classes_are_filled_and_probabilities_are_stratum_shares():
    pool = a_pool({"a1": 900, "a2": 80, "b1": 15, "b2": 25, "c1": 5})
    drawn = draw_sample(pool, n=100, rng=np.random.default_rng(0), min_per_group=20)
    assert len(drawn) == 100 and drawn["key"].is_unique
    assert drawn["vote"].value_counts().to_dict() == {"a": 74, "b": 21, "c": 5}
    for name, rows in drawn.groupby("stratum"):
        assert set(rows["probability"]) == {len(rows) / (pool["stratum"] == name).sum()}
    # The estimator that the probabilities are for: its weights add up to the pool.
    assert (1 / drawn["probability"]).sum() == pytest.approx(len(pool))


def test_the_sample_depends_on_the_seed_and_not_on_row_order():
    pool = a_pool({"a1": 50, "b1": 50})
    first, turned, other = (
        draw_sample(table, n=20, rng=np.random.default_rng(seed), min_per_group=5)
        for table, seed in ((pool, 0), (pool[::-1], 0), (pool, 1))
    )
    assert list(first["key"]) == list(turned["key"]) != list(other["key"])


def test_weighted_shares_of_the_sample_are_unbiased():
    pool = a_pool({"a1": 300, "b1": 30, "b2": 10})
    pool["woman"] = (np.arange(len(pool)) % 3 == 0) | (pool["vote"] == "b")
    shares = []
    for seed in range(200):
        drawn = draw_sample(pool, n=60, rng=np.random.default_rng(seed), min_per_group=20)
        shares.append((drawn["woman"] / drawn["probability"]).sum() / len(pool))
    spread = np.std(shares) / np.sqrt(len(shares))
    assert abs(np.mean(shares) - pool["woman"].mean()) < 4 * spread
    assert abs(drawn["woman"].mean() - pool["woman"].mean()) > 0.1


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(0, 3)), min_size=1, max_size=12), st.integers(0, 99)
)
def test_an_allocation_draws_the_requested_number_and_at_most_all_images(strata, more):
    sizes, classes = map(np.array, zip(*strata, strict=True))
    needed = len(sizes) + 5 * len(set(classes))
    drawn = allocate(sizes, classes, n=needed + more, min_per_group=5)
    assert drawn.sum() == min(needed + more, sizes.sum())
    assert (drawn >= 1).all() and (drawn <= sizes).all()
    for kind in set(classes):
        assert drawn[classes == kind].sum() >= min(5, sizes[classes == kind].sum())


def test_a_too_small_sample_size_states_the_number_needed():
    with pytest.raises(EvenhandError, match="10 images are too few for 2 strata") as fault:
        draw_sample(a_pool({"a1": 50, "b1": 50}), n=10, rng=np.random.default_rng(0), min_per_group=20)
    assert str(fault.value).endswith("request at least 40")
    assert (
        len(draw_sample(a_pool({"a1": 50, "b1": 50}), n=40, rng=np.random.default_rng(0), min_per_group=20))
        == 40
    )
    with pytest.raises(EvenhandError, match="no images to draw from"):
        draw_sample(a_pool({}), n=10, rng=np.random.default_rng(0), min_per_group=20)
