"""Tables as arrays of methods and slots."""

import numpy as np
import pandas as pd
import pytest
from helpers.metrics import TAXONOMY, World

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.estimation.encode import check_tables, coverage, encode, groups_asked
from evenhand.metrics.table import ANSWER_COLUMNS


@pytest.fixture
def tables():
    """One prompt with three images of two methods; the second image of ``edited`` failed."""
    world = World()
    for method, cells in (("edited", [0, 1, 5]), ("base", [3, 4, 2])):
        world.draw(method, "neutral", prompt_id="p", concept="nurse", template="t", cells=cells)
    images = world.images()
    images.loc[images["key"] == "edited/p/1", "status"] = "error"
    return images, world.labels("a")


def test_methods_are_sorted_and_slots_are_in_the_order_of_seeds_whatever_the_row_order(tables):
    images, labels = (table.sample(frac=1, random_state=3) for table in tables)
    study = encode(images, labels, taxonomy=TAXONOMY)
    assert study.methods == ("base", "edited")
    assert study.keys.tolist() == [[f"{m}/p/{s}" for s in range(3)] for m in ("base", "edited")]
    assert study.codes["a", "gender"].tolist() == [[1, 1, 0], [0, 2, 1]]
    assert study.codes["a", "tone"].tolist() == [[0, 1, 2], [0, 3, 2]]


def test_a_failed_image_keeps_its_status_and_is_undetermined_in_every_cell(tables):
    study = encode(*tables, taxonomy=TAXONOMY)
    assert study.label_status["a", "tone"][1].tolist() == ["ok", "error", "ok"]
    assert study.joint_codes("a", ["gender", "tone"]).tolist() == [[3, 4, 2], [0, 6, 5]]
    found = coverage(study, "edited")
    assert (found.planned, found.made, found.failed) == (3, 2, {"error": 1})
    assert [(row.attribute, row.ok, row.undetermined) for row in found.rows] == [
        ("gender", 2, {"error": 1}),
        ("tone", 2, {"error": 1}),
    ]


def test_a_joint_attribute_needs_a_judge_of_every_part(tables):
    images, labels = tables
    one = World()
    one.truth = dict.fromkeys(images["key"], 0)
    half = one.labels("half", attributes=("gender",))
    study = encode(images, pd.concat([labels, half]), taxonomy=TAXONOMY)
    assert study.judges(["gender"]) == ["a", "half"] and study.judges(["gender", "tone"]) == ["a"]


def test_only_numeric_columns_become_values(tables):
    images, labels = tables
    study = encode(images.assign(hue=np.arange(6.0)), labels, taxonomy=TAXONOMY)
    assert set(study.columns) == {"alignment", "hue"}
    assert study.columns["hue"].tolist() == [[3, 4, 5], [0, 1, 2]]


def test_the_cell_of_a_prompt_names_known_groups():
    assert groups_asked("gender=man;tone=dark", TAXONOMY) == {"gender": "man", "tone": "dark"}
    assert groups_asked("", TAXONOMY) == {}
    with pytest.raises(EvenhandError, match="unknown attribute 'genre'; did you mean 'gender'"):
        groups_asked("genre=man", TAXONOMY)
    with pytest.raises(EvenhandError, match="image table: cell must be attribute=group"):
        groups_asked("man", TAXONOMY)


def test_a_table_of_answers_needs_fewer_columns(tables):
    images, labels = tables
    answers = labels[list(ANSWER_COLUMNS)]
    check_tables(images, answers, taxonomy=TAXONOMY, columns=ANSWER_COLUMNS)
    with pytest.raises(EvenhandError, match="label table lacks column 'family'"):
        check_tables(images, answers, taxonomy=TAXONOMY)
