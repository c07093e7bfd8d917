"""Confusion counts from anchors, and every kind of invalid anchor table."""

import numpy as np
import pandas as pd
import pytest
from helpers.metrics import TAXONOMY, World

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.correction.calibration import CONFUSION_COLUMNS, Calibration, calibrate, confusion_table
from evenhand.metrics.estimation.anchors import confusion_from_anchors
from evenhand.metrics.estimation.panel import vote

MEMBERS = ("a", "b")


@pytest.fixture(scope="module")
def world():
    made = World()
    made.draw("m", "neutral", prompt_id="p", cells=list(range(6)) * 16)
    labels = pd.concat(
        [made.labels("a", recall=0.9, abstain=0.05), made.labels("b", recall=0.8, attributes=["gender"])],
        ignore_index=True,
    )
    return labels, made.anchors().rename(columns={"group": "label"})


def count(labels, anchors, *, members=MEMBERS):
    return confusion_from_anchors(labels, anchors, taxonomy=TAXONOMY, members=members)


def test_every_judge_and_the_vote_are_counted_on_every_attribute(world):
    labels, anchors = world
    table = count(labels, anchors)
    assert tuple(table.columns) == CONFUSION_COLUMNS
    sets = table.groupby("judge")["attributes"].unique().map(set).to_dict()
    every = {"gender", "tone", "gender*tone"}
    assert sets == {"a": every, "b": {"gender"}, "panel": every}
    assert set(table.groupby(["judge", "attributes"])["count"].sum()) == {96}


def test_counts_match_a_plain_cross_tabulation(world):
    labels, anchors = world
    votes = vote(labels, members=MEMBERS, taxonomy=TAXONOMY)
    for judge, rows in (("a", labels[labels["judge"] == "a"]), ("panel", votes)):
        of = rows[rows["attribute"] == "gender"].merge(
            anchors[anchors["attribute"] == "gender"], on="key", suffixes=("_said", "")
        )
        plain = pd.crosstab(of["label"], of["label_said"].where(of["status"] == "ok", "undetermined"))
        table = count(labels, anchors)
        own = table[(table["judge"] == judge) & (table["attributes"] == "gender")]
        assert {
            (row.truth, row.label): row.count_ for row in own.rename(columns={"count": "count_"}).itertuples()
        } == {pair: number for pair, number in plain.stack().items() if number}


def test_the_table_matches_confusion_table(world):
    labels, anchors = world
    both = pd.concat([labels, vote(labels, members=MEMBERS, taxonomy=TAXONOMY)])
    sets = [("gender",), ("tone",), ("gender", "tone")]
    pd.testing.assert_frame_equal(
        count(labels, anchors), confusion_table(anchors.rename(columns={"label": "group"}), both, sets)
    )


def test_row_order_and_a_stored_vote_change_nothing(world):
    labels, anchors = world
    stored = pd.concat([labels, vote(labels, members=("b",), taxonomy=TAXONOMY)])
    shuffled = count(stored.sample(frac=1, random_state=1), anchors.sample(frac=1, random_state=2))
    pd.testing.assert_frame_equal(shuffled, count(labels, anchors))


def test_human_labels_are_not_judged(world):
    labels, anchors = world
    people = labels[labels["judge"] == "a"].assign(judge="human:aggregate", family="human")
    pd.testing.assert_frame_equal(count(pd.concat([labels, people]), anchors), count(labels, anchors))


def test_anchors_without_a_label_are_not_counted(world):
    labels, anchors = world
    untold = anchors.assign(label=anchors["label"].where(anchors.index % 3 > 0, ""))
    told = anchors[anchors.index % 3 > 0]
    pd.testing.assert_frame_equal(count(labels, untold), count(labels, told))


def test_the_table_can_be_calibrated(world):
    labels, anchors = world
    found = calibrate(
        count(labels, anchors), judge="panel", attributes=["gender"], taxonomy=TAXONOMY, draws=9, seed=0
    )
    assert isinstance(found, Calibration) and found.matrix.sum(axis=1) == pytest.approx(1)


def test_equal_probabilities_give_plain_counts_and_unequal_ones_weights(world):
    labels, anchors = world
    plain = count(labels, anchors)
    equal = count(labels, anchors.assign(probability=0.25))
    assert equal["count"].to_numpy() == pytest.approx(plain["count"].to_numpy())
    said = labels[(labels["judge"] == "a") & (labels["attribute"] == "gender")].set_index("key")["label"]
    chance = anchors["key"].map(said).map({"woman": 0.8}).fillna(0.2)
    weighed = count(labels, anchors.assign(probability=chance))

    def row(table):
        own = table[(table["judge"] == "a") & (table["attributes"] == "gender") & (table["truth"] == "woman")]
        return own.set_index("label")["count"]

    expected = row(plain) / [0.8 if label == "woman" else 0.2 for label in row(plain).index]
    assert (row(weighed) / row(weighed).sum()).to_numpy() == pytest.approx(expected / expected.sum())
    assert row(weighed).sum() < 48


def test_weighted_tables_give_valid_resampled_matrices(world):
    labels, anchors = world
    chance = np.where(np.arange(len(anchors) // 2) % 2, 0.3, 0.9)
    anchors = anchors.assign(
        probability=anchors["key"].map(dict(zip(anchors["key"].unique(), chance, strict=True)))
    )
    found = calibrate(
        count(labels, anchors), judge="a", attributes=["tone"], taxonomy=TAXONOMY, draws=50, seed=0
    )
    assert found.draws.sum(axis=-1) == pytest.approx(1)


FAULTS = {
    "no row": (lambda t: t.iloc[:0], "none of 0 anchors has a label"),
    "no label": (lambda t: t.assign(label=""), "none of 192 anchors has a label"),
    "missing labels": (lambda t: t.assign(label=None), "none of 192 anchors has a label"),
    "column": (lambda t: t.drop(columns="label"), "lack column 'label'"),
    "image": (lambda t: t.assign(key="x" + t["key"]), "96 of 96 anchors are not in the label table"),
    "doubled": (lambda t: pd.concat([t, t.iloc[:1]]), "twice; keep one row"),
    "group": (lambda t: t.replace("woman", "wommen"), "'wommen'; did you mean 'woman'"),
    "attribute": (lambda t: t.replace("tone", "hue"), "attribute of the anchors 'hue'"),
    "no chance": (lambda t: t.assign(probability=0.0), "above 0 and at most 1"),
    "missing chance": (lambda t: t.assign(probability=np.nan), "above 0 and at most 1"),
    "two chances": (
        lambda t: t.assign(probability=np.linspace(0.1, 0.9, len(t))),
        "has several probabilities",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_invalid_anchors_are_one_line_errors(world, fault):
    labels, anchors = world
    change, message = FAULTS[fault]
    with pytest.raises(EvenhandError, match=message) as caught:
        count(labels, change(anchors))
    assert "\n" not in str(caught.value)


def test_judges_without_labels_are_an_error(world):
    labels, anchors = world
    with pytest.raises(EvenhandError, match="unknown judge of the panel 'c'"):
        count(labels, anchors, members=("a", "c"))
    first = anchors["key"].iloc[0]
    holed = labels[(labels["judge"] != "b") | (labels["key"] != first)]
    with pytest.raises(EvenhandError, match="judge 'b' has no gender label for anchor 'm/p/0'"):
        count(holed, anchors)
    with pytest.raises(EvenhandError, match="no judge labels the tone of the anchors"):
        count(labels[labels["attribute"] == "gender"], anchors)
    old = labels[labels["judge"] == "a"].assign(judge_version="0").iloc[:1]
    with pytest.raises(EvenhandError, match="judge 'a'"):
        count(pd.concat([labels, old]), anchors)
