"""Data frames of labels become the tables that are measured."""

import pandas as pd
import pytest
from helpers.label_frames import wide

from evenhand.bench.errors import EvenhandError
from evenhand.metrics import audit_labels
from evenhand.metrics.label_audit.tables import (
    Columns,
    check_columns,
    image_table,
    long_labels,
    taxonomy_of,
)

COLUMNS = Columns(concept="prompt", image="image", cluster="template")


def taxonomy(frame, attributes):
    return taxonomy_of(frame, long_labels(frame, COLUMNS, attributes), attributes)


def test_groups_are_those_given_or_of_the_categories_or_those_that_occur():
    frame = wide()
    assert taxonomy(frame, ["gender"]) == {"gender": ("man", "woman")}
    kinds = pd.CategoricalDtype(["woman", "nonbinary", "man"])
    assert taxonomy(frame.astype({"gender": kinds}), ["gender"])["gender"] == ("woman", "nonbinary", "man")
    assert taxonomy(frame, {"gender": ["woman", "man", "x"]})["gender"] == ("woman", "man", "x")


def test_one_group_is_refused_because_the_others_are_not_known():
    with pytest.raises(EvenhandError, match=r"'gender' has 1 groups in the labels \(woman\); name all"):
        taxonomy(wide().assign(gender="woman"), ["gender"])


@pytest.mark.parametrize("other", ["Woman", "woman ", "Undetermined"])
def test_two_spellings_of_a_group_are_refused(other):
    frame = wide()
    frame.loc[:9, "gender"] = other
    with pytest.raises(
        EvenhandError, match=rf"'{other}' of attribute 'gender' differ only in case|'{other}' and "
    ):
        taxonomy(frame, ["gender"])


@pytest.mark.parametrize("name", ["prompt", "image"])
@pytest.mark.parametrize("nothing", [None, ""])
def test_rows_about_nothing_are_refused(name, nothing):
    frame = wide()
    frame.loc[:5, name] = nothing
    with pytest.raises(EvenhandError, match=f"column '{name}' of the frame is empty in 6 of 120 rows; fill"):
        check_columns(frame, COLUMNS)


def test_labels_other_than_texts_are_their_text():
    frame = wide().assign(gender=[n % 2 for n in range(120)])
    assert taxonomy(frame, ["gender"]) == {"gender": ("0", "1")}


def test_images_of_a_prompt_are_numbered_in_the_order_of_the_frame():
    images = image_table(wide(images=3), COLUMNS)
    assert images["seed_index"].tolist() == [0, 1, 2] * 6
    assert images["prompt_id"].nunique() == 6


def test_an_image_with_several_rows_is_one_image():
    frame = pd.concat([wide().assign(judge="a"), wide().assign(judge="b")])
    columns = Columns(concept="prompt", image="image", judge="judge")
    assert len(image_table(frame, columns)) == len(wide())


def test_seeds_must_be_whole_numbers():
    frame = wide().assign(number=0.5)
    with pytest.raises(EvenhandError, match="'number' must have whole numbers"):
        image_table(frame, Columns(concept="prompt", image="image", seed="number"))


def test_numeric_columns_are_kept_for_metrics_of_images():
    assert image_table(wide().assign(alignment=25.0), COLUMNS)["alignment"].eq(25).all()


def test_what_is_no_data_frame_or_has_a_column_twice_is_refused():
    rows = wide().to_dict("records")
    with pytest.raises(EvenhandError, match="the frame is of type list; pass a pandas data frame"):
        audit_labels(rows, concept="prompt", attributes=["gender"])
    twice = wide().rename(columns={"race": "gender"})
    with pytest.raises(EvenhandError, match="the frame has several columns 'gender'; rename or drop"):
        audit_labels(twice, concept="prompt", attributes=["gender"])


def test_one_attribute_is_given_as_a_list():
    with pytest.raises(EvenhandError, match=r"one name; pass a list: attributes=\['gender'\]"):
        audit_labels(wide(), concept="prompt", attributes="gender")
