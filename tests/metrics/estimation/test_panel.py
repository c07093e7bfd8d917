"""From probabilities to labels, and from judges to the panel's vote."""

import numpy as np
import pandas as pd
import pytest
from helpers.metrics import TAXONOMY, rows_of
from hypothesis import given
from hypothesis import strategies as st

from evenhand.metrics.estimation.panel import PANEL, vote
from evenhand.metrics.table import LABEL_COLUMNS, hard_labels, label_rows

GROUPS = ("woman", "man")


def label_of(*probabilities, **options):
    labels, statuses = hard_labels(np.array([probabilities], float), GROUPS, **options)
    return labels[0], statuses[0]


def test_the_most_probable_group_is_the_label():
    assert label_of(0.6, 0.3, 0.1) == ("woman", "ok")
    assert label_of(0.2, 0.5, 0.3) == ("man", "ok")


def test_a_tie_is_undetermined():
    assert label_of(0.5, 0.5, 0) == ("", "low_confidence")
    assert label_of(0.1 + 0.2, 0.3, 0.4, threshold=0) == ("", "low_confidence")
    assert label_of(0.45, 0.1, 0.45, threshold=0) == ("", "low_confidence")


def test_low_probabilities_and_cannot_tell_are_undetermined():
    assert label_of(0.49, 0.3, 0.21) == ("", "low_confidence")
    assert label_of(0.49, 0.3, 0.21, threshold=0.4) == ("woman", "ok")
    assert label_of(0.1, 0.1, 0.8) == ("", "low_confidence")


def test_a_judge_that_sees_no_person_gives_no_label():
    assert label_of(0.9, 0.1, 0, status=["no_face"]) == ("", "no_face")


def answer(judge, family, *probabilities, key="k", status="ok", attribute="gender"):
    return label_rows(
        keys=[key],
        judge=judge,
        version="1",
        family=family,
        attribute=attribute,
        groups=TAXONOMY[attribute],
        probabilities=np.array([probabilities], float),
        status=[status],
    )


WOMAN, MAN, UNSURE = (0.9, 0.1, 0.0), (0.1, 0.9, 0.0), (0.1, 0.1, 0.8)


def cast(*answers, **options):
    table = pd.concat(answers, ignore_index=True)
    members = sorted(set(table["judge"]))
    row = vote(table, members=options.pop("members", members), taxonomy=TAXONOMY, **options).iloc[0]
    return row["label"], row["status"]


def test_families_that_agree_decide():
    assert cast(answer("a", "clip", *WOMAN), answer("b", "vit", *WOMAN)) == ("woman", "ok")


def test_a_family_has_one_vote_for_any_number_of_judges():
    clips = [answer(name, "clip", *WOMAN) for name in "abc"]
    others = [answer("d", "vit", *MAN), answer("e", "colour", *MAN)]
    assert cast(*clips, *others) == ("man", "ok")


def test_a_family_votes_with_its_average():
    pair = [answer("a", "clip", 0.55, 0.45, 0), answer("b", "clip", 0.05, 0.95, 0)]
    assert cast(*pair, answer("c", "vit", *MAN)) == ("man", "ok")


def test_a_family_whose_average_is_below_the_threshold_does_not_vote():
    pair = [answer("a", "clip", 0.6, 0.4, 0), answer("b", "vit", *WOMAN)]
    assert cast(*pair) == ("woman", "ok")
    assert cast(*pair, threshold=0.7) == ("", "low_confidence")


def test_families_that_disagree_are_inconsistent():
    assert cast(answer("a", "clip", *WOMAN), answer("b", "vit", *MAN)) == ("", "inconsistent")


def test_a_plurality_is_not_a_majority():
    tones = [(0.9, 0.1, 0, 0), (0.9, 0.1, 0, 0), (0, 0.9, 0.1, 0), (0, 0.1, 0.9, 0)]
    answers = [answer(n, n, *p, attribute="tone") for n, p in zip("abcd", tones, strict=True)]
    assert cast(*answers) == ("", "inconsistent")
    assert cast(*answers[:3]) == ("light", "ok")


def test_two_families_must_decide_where_two_know_the_attribute():
    assert cast(answer("a", "clip", *WOMAN), answer("b", "vit", *UNSURE)) == ("", "low_confidence")
    silent = answer("b", "vit", *WOMAN, status="no_face")
    assert cast(answer("a", "clip", *WOMAN), silent) == ("", "no_face")


def test_one_family_suffices_where_only_one_knows_the_attribute():
    assert cast(answer("a", "clip", *WOMAN)) == ("woman", "ok")


def test_a_judge_without_an_answer_does_not_change_its_familys_vote():
    silent = answer("b", "clip", *MAN, status="no_face")
    assert cast(answer("a", "clip", *WOMAN), silent, answer("c", "vit", *WOMAN)) == ("woman", "ok")


def test_judges_outside_the_panel_have_no_vote():
    rows = [
        answer("a", "clip", *WOMAN),
        answer("b", "vit", *WOMAN),
        answer("s", "x", *MAN),
        answer("t", "y", *MAN),
    ]
    assert cast(*rows, members=["a", "b"]) == ("woman", "ok")
    assert cast(*rows[2:], rows[0], members=["s", "t"]) == ("man", "ok")


def test_the_vote_is_a_label_table_of_judge_panel():
    rows = vote(
        pd.concat([rows_of("a", ["x", "y"], "gender", [0, 1]), rows_of("b", ["y", "x"], "gender", [0, 0])]),
        members=["a", "b"],
        taxonomy=TAXONOMY,
    )
    assert tuple(rows.columns) == LABEL_COLUMNS
    assert set(rows["judge"]) == set(rows["family"]) == {PANEL}
    assert dict(zip(rows["key"], rows["label"], strict=True)) == {"x": "woman", "y": ""}
    assert rows["judge_version"].unique().tolist() == ["a@1+b@1"]
    assert rows["confidence"][0] == pytest.approx(0.9)


@pytest.mark.slow
@given(st.randoms())
def test_votes_do_not_depend_on_row_order(random):
    rng = np.random.default_rng(5)
    keys = [f"k{number}" for number in range(12)]
    table = pd.concat(
        [rows_of(name, keys, "gender", rng.integers(0, 3, 12)) for name in "abc"], ignore_index=True
    )
    order = list(range(len(table)))
    random.shuffle(order)
    first = vote(table, members="abc", taxonomy=TAXONOMY)
    second = vote(table.iloc[order], members="cab", taxonomy=TAXONOMY)
    pd.testing.assert_frame_equal(first, second)
