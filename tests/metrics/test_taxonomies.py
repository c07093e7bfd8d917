"""Mapping of classes to groups by name, and sums of probabilities before a label."""

import numpy as np
import pytest
from helpers.metrics import read
from scipy.stats import chi2_contingency

from evenhand.bench.errors import EvenhandError
from evenhand.metrics import taxonomies
from evenhand.metrics.taxonomies import age_bin, distinct, group_of, groups, readable, regroup

DATASET_CARD_ORDER = (
    "East Asian",
    "Indian",
    "Black",
    "White",
    "Middle Eastern",
    "Latino_Hispanic",
    "Southeast Asian",
)
DEEPFACE = ("asian", "indian", "black", "white", "middle eastern", "latino hispanic")


def test_both_released_orders_of_the_races_give_the_same_answer():
    shares = np.random.default_rng(0).dirichlet(np.ones(7), size=50)
    network = groups("race7")
    permuted = shares[:, [network.index(name) for name in DATASET_CARD_ORDER]]
    for attribute in ("race7", "race4"):
        np.testing.assert_allclose(
            regroup(permuted, DATASET_CARD_ORDER, attribute), regroup(shares, network, attribute)
        )
    np.testing.assert_array_equal(regroup(shares, network, "race7"), shares)


@pytest.mark.parametrize("race", DATASET_CARD_ORDER)
def test_every_race_keeps_its_name(race):
    sure = np.array([[name == race for name in DATASET_CARD_ORDER]], float)
    assert groups("race7")[regroup(sure, DATASET_CARD_ORDER, "race7").argmax()] == race


def test_merged_races_are_those_of_shen_et_al():
    merged = {label: group_of(label, "race4") for label in groups("race7")}
    assert merged == {
        "White": "WMELH",
        "Middle Eastern": "WMELH",
        "Latino_Hispanic": "WMELH",
        "Black": "Black",
        "Indian": "Indian",
        "East Asian": "Asian",
        "Southeast Asian": "Asian",
    }
    assert [group_of(label, "race4") for label in DEEPFACE] == [
        "Asian",
        "Indian",
        "Black",
        "WMELH",
        "WMELH",
        "WMELH",
    ]


def test_probabilities_are_summed_before_a_label_is_decided():
    shares = np.array([[0.25, 0.35, 0.2, 0, 0, 0, 0.2]])
    assert groups("race7")[shares.argmax()] == "Black"
    found = regroup(shares, groups("race7"), "race4")
    assert groups("race4")[found.argmax()] == "WMELH"
    np.testing.assert_allclose(found, [[0.65, 0.35, 0, 0]])


@pytest.mark.parametrize(
    ("labels", "known"),
    [
        (("Female", "Male"), ("gender",)),
        (("WOMAN", "man"), ("gender",)),
        (groups("race7"), ("race7", "race4")),
        (("east asian", "southeast_asian", "white", "Latino", "middle eastern", "indian", "black"),
         ("race7", "race4")),
        (DEEPFACE, ("race4",)),
        (("White", "Black", "Asian", "Indian"), ("race4",)),
        (groups("age9"), ("age9", "age5", "age2")),
        (("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "more than 70"),
         ("age9", "age5", "age2")),
        (groups("age5"), ("age5", "age2")),
        (("LABEL_0", "LABEL_1"), ()),
        (("Female", "Male", "Unknown"), ()),
        (("White", "Black"), ()),
    ],
)  # fmt: skip
def test_attributes_are_recognised_by_class_names(labels, known):
    assert readable(labels) == known


def test_ages_are_assigned_to_their_bins():
    years = np.array([0, 2.9, 3, 19, 20, 39, 40, 59, 60, 69, 70, 100])
    assert [groups("age9")[index] for index in age_bin(years)] == [
        "0-2", "0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "60-69", "70+", "70+",
    ]  # fmt: skip
    names = [group_of(groups("age9")[index], "age5") for index in age_bin(years)]
    assert names == ["child"] * 4 + ["young adult", "adult"] + ["middle-aged"] * 2 + ["senior"] * 4
    assert [group_of(groups("age9")[i], "age2") for i in age_bin(np.array([39.0, 40.0]))] == ["young", "old"]


@pytest.mark.parametrize(
    ("attributes", "kept"),
    [
        (("gender", "race7", "race4", "age9", "age5", "age2"), ("gender", "race4", "age2")),
        (("gender", "tone", "age"), ("gender", "tone", "age")),
        (("mst10", "ita6"), ("ita6",)),
        (("age9",), ("age9",)),
    ],
)
def test_joint_tables_use_one_taxonomy_per_concept(attributes, kept):
    assert distinct(attributes) == kept


def test_an_unknown_label_is_named():
    with pytest.raises(EvenhandError, match="label 'Klingon' belongs to no group of race4"):
        group_of("Klingon", "race4")


def test_every_bundled_table_names_its_source_in_the_first_line():
    for path in taxonomies.DATA.glob("*.csv"):
        assert path.read_text(encoding="utf-8").startswith("# ")
        assert taxonomies.table(path.stem)


def test_the_fairface_network_has_its_reference_accuracy():
    rows = read("fairface_resnet34_patterns_1004")
    assert rows["count"].sum() == 1004
    faces = rows[rows["p_gender"] != "none"]
    n = faces["count"].sum()
    assert n == 943

    def accuracy(right):
        return faces["count"][right].sum() / n

    merged = {name: faces[name].map(lambda label: group_of(label, "race4")) for name in ("race", "p_race7")}
    assert accuracy(faces["gender"] == faces["p_gender"]) == pytest.approx(0.922587, abs=1e-6)
    assert accuracy(faces["race"] == faces["p_race7"]) == pytest.approx(0.703075, abs=1e-6)
    assert accuracy(merged["race"] == merged["p_race7"]) == pytest.approx(0.886532, abs=1e-6)
    assert accuracy(faces["age"] == faces["p_age"]) == pytest.approx(0.597031, abs=1e-6)
    sides = {
        name: faces[name].map(lambda label: group_of(label, "gender")) for name in ("gender", "p_gender")
    }
    assert accuracy(sides["gender"] == sides["p_gender"]) == pytest.approx(0.922587, abs=1e-6)


def test_all_face_detectors_except_dlib_miss_groups_unequally():
    rows = read("detector_miss_fairface_val")
    detectors = ["dlib", "mtcnn", "opencv", "retinaface", "ssd"]
    assert rows["n"].sum() == 10954
    assert rows[detectors].sum().tolist() == [142, 378, 427, 405, 546]
    p = {}
    for group in ("race", "gender"):
        counts = rows.groupby(group)[["n", *detectors]].sum()
        for name in detectors:
            p[name, group] = chi2_contingency([counts[name], counts["n"] - counts[name]]).pvalue
    assert {name for (name, _), value in p.items() if value >= 0.05} == {"dlib"}
    assert all(p["dlib", group] >= 0.05 for group in ("race", "gender"))
