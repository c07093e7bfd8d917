"""What the builders of the prompt sets share."""

import pytest

from evenhand.bench.prompts.builders.rows import SOURCES, a, cells, race, rotated, short, source, subject


@pytest.mark.parametrize("path", sorted(SOURCES.glob("*.csv")), ids=lambda path: path.stem)
def test_a_source_says_where_it_comes_from_and_has_complete_rows(path):
    comment, header = path.read_text(encoding="utf-8").splitlines()[:2]
    assert comment.startswith("# ") and len(comment) > 40
    rows = source(path.stem)
    assert rows and all(list(row) == header.split(",") and None not in row.values() for row in rows)


def test_articles_follow_the_first_letter_as_in_the_training_captions():
    assert [a(word) for word in ("nurse", "attendant", "Englishwoman")] == [
        "a nurse",
        "an attendant",
        "an Englishwoman",
    ]


def test_the_subject_is_the_phrase_without_its_article():
    assert [subject(phrase) for phrase in ("a queen", "an actress", "the pope", "Ana")] == [
        "queen",
        "actress",
        "pope",
        "Ana",
    ]


def test_rotation_starts_at_the_turn_and_keeps_every_item():
    assert list(rotated("abc", 1)) == list(rotated("abc", 4)) == ["b", "c", "a"]


def test_cells_are_all_combinations_with_the_last_attribute_fastest():
    found = cells({"gender": ("woman", "man"), "age": ("adult", "older")})
    assert [tuple(cell.values()) for cell in found] == [
        ("woman", "adult"),
        ("woman", "older"),
        ("man", "adult"),
        ("man", "older"),
    ]


def test_a_race_is_named_in_both_taxonomies():
    assert race("East Asian") == {"race7": "East Asian", "race4": "Asian"}


def test_a_template_is_named_by_its_words_without_the_occupation():
    assert short("A photo of A X") == "photo"
