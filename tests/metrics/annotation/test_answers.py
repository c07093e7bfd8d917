"""Checks of raw annotations: synonyms, prefixes, duplicates, repeats and remarks."""

import pytest
from helpers.answers import HEADER, labels, reader


@pytest.fixture
def read(tmp_path):
    return reader(tmp_path)


def test_an_image_without_people_is_undetermined_for_every_attribute_of_a_sheet(read):
    found = read("image_id,n_people,gender,age\np0,none,,\n")
    assert [row[2:] for row in labels(found)] == [("gender", "cannot_tell"), ("age", "cannot_tell")]


def test_a_unique_prefix_names_an_attribute(read):
    found = read(f"{HEADER}\np0,ann,race,black\np0,ann,race_multi,Black|Asian\np0,ann,flag,minor\n")
    assert [row[2:] for row in labels(found)] == [
        ("race4", "Black"),
        ("race4_multi", "Black|Asian"),
        ("flag", "minor"),
    ]


def test_of_duplicate_annotations_the_last_counts_and_they_are_reported(read):
    found = read(f"{HEADER}\np0,ann,gender,man\np1,ann,gender,man\np0,ann,gender,woman\n")
    assert labels(found) == [("key1", "ann", "gender", "man"), ("key0", "ann", "gender", "woman")]
    (remark,) = found.remarks
    assert remark.startswith("1 annotations are duplicates") and remark.endswith("line 2)")


def test_the_second_row_of_an_image_shown_twice_is_a_repeat(read):
    text = f"{HEADER}\np0,ann,gender,man\np0,ann,gender,woman\n"
    found = read(text, repeats={"key0"})
    assert list(found.table["is_repeat"]) == [False, True]
    assert found.remarks == ()
    said = read(f"{HEADER},is_repeat\np0,ann,gender,man,1\np0,ann,gender,woman,0\n", repeats={"key0"})
    assert list(said.table["is_repeat"]) == [True, False]


def test_gold_images_come_from_the_batch_and_not_from_the_file(read):
    found = read(f"{HEADER},is_gold\np0,ann,gender,man,1\np1,ann,gender,man,0\n", gold={"key1"})
    assert list(found.table["is_gold"]) == [False, True]


def many(label, n=30):
    return "".join(f"p{number},ann,gender,{label(number)},2.5\n" for number in range(n))


def test_uniform_and_fast_annotators_are_reported_and_kept(read):
    header = f"{HEADER},seconds\n"
    found = read(header + many(lambda number: "woman"))
    assert found.remarks == ("annotator 'ann' gives the gender label 'woman' to 100% of 30 images",)
    assert len(found.table) == 30
    assert read(header + many(lambda number: "woman" if number % 2 else "man")).remarks == ()
    fast = read(header + many(lambda number: "woman" if number % 2 else "man").replace("2.5", "1.9"))
    assert fast.remarks == ("annotator 'ann' took under 2 seconds for 30 of 30 images",)
