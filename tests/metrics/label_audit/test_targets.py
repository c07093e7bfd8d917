"""Targets of an audit of labels."""

import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.label_audit.targets import target_of

TAXONOMY = {"gender": ("woman", "man"), "race": ("a", "b", "c")}
SETS = [("gender",), ("race",), ("gender", "race")]


def target(wish):
    return target_of(wish, taxonomy=TAXONOMY, sets=SETS, concepts=["nurse", "cook"])


def test_an_even_target_lists_nothing():
    assert target("uniform") == {}


def test_joint_cells_have_the_product_of_the_shares_and_other_attributes_even_ones():
    found = target({"gender": {"man": 0.2, "woman": 0.8}})
    assert found["gender"]["cook"] == pytest.approx([0.8, 0.2])
    assert found["gender*race"]["nurse"] == pytest.approx([0.8 / 3] * 3 + [0.2 / 3] * 3)
    assert "race" not in found


def test_concepts_may_have_different_targets():
    found = target({"gender": {"nurse": {"woman": 0.9, "man": 0.1}, "cook": {"woman": 0.5, "man": 0.5}}})
    assert found["gender"]["nurse"] == pytest.approx([0.9, 0.1])
    assert found["gender"]["cook"] == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"gendr": {}}, "did you mean 'gender'"),
        ({"gender": {"woman": 1.0}}, "must have a share for each of woman, man, got woman"),
        ({"gender": {"woman": 0.8, "man": 0.3}}, "sum to 1"),
        (
            {"gender": {"nurse": {"woman": 0.5, "man": 0.5}}},
            "concept in the target of gender: 'cook'",
        ),
    ],
)
def test_an_incomplete_target_is_refused(wish, message):
    with pytest.raises(EvenhandError, match=message):
        target(wish)
