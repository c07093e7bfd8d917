"""The audit table of a judge: reference values, independent implementations, claims and reasons."""

import numpy as np
import pandas as pd
import pytest
from helpers.metrics import TAXONOMY, World, one, pick, read, rows_of
from sklearn.calibration import calibration_curve
from sklearn.metrics import balanced_accuracy_score, confusion_matrix

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.judge_quality.audit import BINS, CLAIM, calibration_error, judge_audit
from evenhand.metrics.statistics.uncertainty import wilson

FACES = {"gender": ("Female", "Male"), "age": ("young", "old")}


def faces():
    """The test bed: truth, and two judges' genders with their certainty."""
    table = read("judge_testbed_fairface3k")
    keys = [str(number) for number in table["image_id"]]
    age = np.where(table["true_age"].isin(["50-59", "60-69", "more than 70"]), "old", "young")
    truth = pd.concat(
        pd.DataFrame({"key": keys, "attribute": name, "group": group})
        for name, group in (("gender", table["true_gender"]), ("age", age))
    )
    parts = [
        rows_of(judge, keys, "gender", (table[f"{judge}_gender"] == "Male").astype(int), taxonomy=FACES)
        for judge in ("deepface", "facellm")
    ]
    return table, truth, pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def audited():
    table, truth, labels = faces()
    return table, judge_audit(truth, labels, taxonomy=FACES, draws=100)


def test_judges_of_the_test_bed_have_opposite_biases(audited):
    _, rows = audited
    recall = {row.judge: row for row in pick(rows, quantity="recall", group="Female", within="")}
    assert recall["deepface"].value == pytest.approx(0.376, abs=5e-4)
    assert recall["facellm"].value == pytest.approx(0.993, abs=5e-4)
    assert recall["deepface"].high < recall["facellm"].low


def test_rates_match_scikit_learn(audited):
    table, rows = audited
    truth, said = table["true_gender"], table["deepface_gender"]
    (women, as_men), (as_women, men) = confusion_matrix(truth, said, labels=["Female", "Male"])
    key = {"judge": "deepface", "within": ""}
    recall = one(rows, **key, quantity="recall", group="Female")
    assert recall.value == women / (women + as_men) and recall.n == women + as_men
    assert (recall.low, recall.high) == pytest.approx(tuple(map(float, wilson(women, women + as_men))))
    assert one(rows, **key, quantity="false_rate", group="Female").value == as_women / (as_women + men)
    balanced = one(rows, **key, quantity="balanced_accuracy")
    assert balanced.value == pytest.approx(balanced_accuracy_score(truth, said))
    assert one(rows, **key, quantity="accuracy").value == pytest.approx((truth == said).mean())


def test_recall_gap_is_between_groups_of_the_other_attribute(audited):
    _, rows = audited
    key = {"judge": "deepface", "group": "Female"}
    young, old = (one(rows, **key, quantity="recall", within=f"age={age}") for age in ("young", "old"))
    gap = one(rows, **key, quantity="recall_gap", within="age")
    assert gap.value == pytest.approx(abs(young.value - old.value)) and gap.n == min(young.n, old.n)
    assert gap.low < gap.value < gap.high


def world(images, **errors):
    """Images of all cells, and one judge."""
    made = World(seed=1)
    made.draw("m", "person", prompt_id="p", cells=np.repeat(np.arange(6), images))
    return made.anchors(), made.labels("judge", **errors)


def test_few_images_support_no_claim():
    rows = judge_audit(*world(CLAIM - 1), taxonomy=TAXONOMY, draws=10)
    cells = pick(rows, quantity="recall", attribute="gender", within="tone=dark")
    assert cells and not any(row.claim for row in cells)
    gaps = pick(rows, quantity="recall_gap", attribute="gender")
    assert gaps and np.isnan([row.value for row in gaps]).all() and not any(row.claim for row in gaps)
    assert one(rows, quantity="recall", attribute="gender", group="woman", within="").claim
    enough = judge_audit(*world(CLAIM), taxonomy=TAXONOMY, draws=10)
    assert all(
        row.claim and row.value == 0 for row in pick(enough, quantity="recall_gap", attribute="gender")
    )


def test_abstention_is_counted_by_group_and_does_not_change_recall():
    truth, labels = world(50, abstain=0.4)
    rows = judge_audit(truth, labels, taxonomy=TAXONOMY, draws=10)
    shown = truth[truth["attribute"] == "gender"].set_index("key")["group"]
    silent = labels[(labels["attribute"] == "gender") & (labels["status"] != "ok")]["key"]
    for group in TAXONOMY["gender"]:
        found = one(rows, quantity="abstention", attribute="gender", group=group, within="")
        assert found.value == (shown.loc[silent] == group).sum() / 150 > 0.3
        recall = one(rows, quantity="recall", attribute="gender", group=group, within="")
        assert recall.value == 1 and recall.n == 150 - round(150 * found.value)


def test_calibration_error_agrees_with_the_curve_of_scikit_learn():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 1000)
    right = rng.random(1000) < confidence**2
    share, mean = calibration_curve(right, confidence, n_bins=BINS, strategy="quantile")
    assert calibration_error(confidence, right) == pytest.approx(np.abs(share - mean).mean(), abs=1e-3)


def test_a_calibrated_judge_scores_its_floor_and_an_overconfident_one_more():
    found = {}
    for name, recall in (("honest", 0.9), ("boastful", 0.6)):
        rows = judge_audit(*world(200, recall=recall), taxonomy=TAXONOMY, draws=300)
        found[name] = one(rows, quantity="calibration_error", attribute="gender")
    honest, boastful = found["honest"], found["boastful"]
    assert honest.value == pytest.approx(honest.floor, abs=0.02)
    assert boastful.value == pytest.approx(0.3, abs=0.06) and boastful.low > 2 * boastful.floor


def test_images_sampled_by_the_judges_label_are_weighted():
    truth, labels = world(300, recall=0.85)
    every = judge_audit(truth, labels, taxonomy=TAXONOMY, draws=10)
    said = labels[labels["attribute"] == "gender"].set_index("key")["label"]
    chance = said.map({"woman": 0.2, "man": 0.9})
    kept = chance.index[np.random.default_rng(0).random(len(chance)) < chance]
    sample = truth[truth["key"].isin(kept)]
    weighed = sample.assign(probability=sample["key"].map(chance))
    about = {"quantity": "recall", "attribute": "gender", "group": "woman", "within": ""}
    plain, fair = (
        one(judge_audit(t, labels, taxonomy=TAXONOMY, draws=10), **about) for t in (sample, weighed)
    )
    whole = one(every, **about)
    shown = weighed[(weighed["attribute"] == "gender") & (weighed["group"] == "woman")]
    weight = 1 / shown["probability"]
    right = said.loc[shown["key"]].to_numpy() == "woman"
    assert fair.value == pytest.approx((weight * right).sum() / weight.sum()) and fair.n == len(shown)
    assert fair.low < whole.value < fair.high
    assert plain.high < whole.value, "unweighed, the choice looks like an error"


def test_equal_probabilities_change_nothing():
    truth, labels = world(40, recall=0.8, abstain=0.1)
    same = judge_audit(truth.assign(probability=0.25), labels, taxonomy=TAXONOMY, draws=20)
    for row, other in zip(judge_audit(truth, labels, taxonomy=TAXONOMY, draws=20), same, strict=True):
        assert (row.quantity, row.n, row.reason) == (other.quantity, other.n, other.reason)
        numbers = [[each.value, each.low, each.high, each.floor] for each in (row, other)]
        np.testing.assert_allclose(*numbers, atol=1e-9)


def test_strata_have_rows_and_images_without_a_stratum_are_in_none():
    truth, labels = world(50, recall=0.8)
    keys = sorted(set(truth["key"]))
    side = pd.Series(["female", "male", ""] * (len(keys) // 3), index=keys, name="stereotype")
    rows = judge_audit(truth, labels, taxonomy=TAXONOMY, strata=side.to_frame(), draws=10)
    about = {"quantity": "abstention", "attribute": "gender", "group": "woman"}
    parts = [one(rows, **about, within=f"stereotype={name}").n for name in ("female", "male")]
    assert 0 < sum(parts) < one(rows, **about, within="").n
    assert {row.within for row in rows if row.within.startswith("stereotype")} == {
        "stereotype=female",
        "stereotype=male",
    }
    assert {row.within for row in pick(rows, quantity="recall_gap")} == {"gender", "tone"}


def test_a_missing_number_is_nan_with_a_reason():
    truth, labels = world(50)
    silent = labels.assign(label="", status="no_face")
    rows = judge_audit(truth, silent, taxonomy=TAXONOMY, draws=10)
    for row in rows:
        assert np.isnan(row.value) == bool(row.reason)
        assert np.isnan(row.value) or row.quantity == "abstention"
    assert one(rows, quantity="calibration_error", attribute="gender").reason == "no image is decided"
    assert one(rows, quantity="balanced_accuracy", attribute="gender").reason


def test_row_order_changes_nothing():
    truth, labels = world(20, recall=0.8)
    shuffled = [table.sample(frac=1, random_state=3) for table in (truth, labels)]
    assert repr(judge_audit(*shuffled, taxonomy=TAXONOMY, draws=20)) == repr(
        judge_audit(truth, labels, taxonomy=TAXONOMY, draws=20)
    )


def test_an_unknown_true_group_is_an_error():
    truth, labels = world(2)
    with pytest.raises(EvenhandError, match="truth table: unknown group 'girl' of gender"):
        judge_audit(truth.replace("woman", "girl"), labels, taxonomy=TAXONOMY)


def test_labels_without_known_truth_are_an_error():
    truth, labels = world(2)
    with pytest.raises(EvenhandError, match="no labelled image is in the truth table"):
        judge_audit(truth, labels.assign(key="other/" + labels["key"]), taxonomy=TAXONOMY)
