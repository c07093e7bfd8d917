"""The questions of the annotation form."""

from evenhand.bench.annotation.form import questions_of, version_of
from evenhand.metrics.vision.colour import MONK_HEX

TAXONOMY = {
    "gender": ("woman", "man"),
    "race4": ("WMELH", "Black", "Indian", "Asian"),
    "tone": ("light", "medium", "dark"),
    "hair_length": ("short", "long"),
}


def by_name(taxonomy):
    return {question.name: question for question in questions_of(taxonomy)}


def values(question):
    return [option.value for option in question.options]


def test_attributes_come_between_the_number_of_people_and_the_facts():
    assert list(by_name(TAXONOMY)) == [
        "n_people",
        "gender",
        "race4_multi",
        "race4",
        "tone",
        "hair_length",
        "face_quality",
        "confidence",
        "flag",
    ]


def test_every_attribute_can_be_left_open_and_is_cannot_tell_where_it_is_not_asked():
    for name in TAXONOMY:
        question = by_name(TAXONOMY)[name]
        assert values(question)[-1] == question.otherwise == "cannot_tell"
        assert question.options[-1].key == "c" and not question.several


def test_gender_is_asked_as_expression_and_allows_other():
    question = by_name(TAXONOMY)["gender"]
    assert question.text == "Gender expression"
    assert [option.text for option in question.options[:3]] == ["Feminine", "Masculine", "Other or mixed"]
    assert values(question) == ["woman", "man", "other", "cannot_tell"]


def test_race_is_asked_for_all_groups_and_then_for_the_best_one():
    found = by_name(TAXONOMY)
    assert found["race4_multi"].several and found["race4_multi"].otherwise == ""
    assert (
        values(found["race4_multi"]) == values(found["race4"]) == [*TAXONOMY["race4"], "other", "cannot_tell"]
    )


def test_only_the_ten_tones_of_the_monk_scale_are_swatches():
    assert not by_name(TAXONOMY)["tone"].shaded
    ten = by_name({"skin_monk": tuple(f"monk {n}" for n in range(1, 11))})["skin_monk"]
    assert ten.shaded and [option.colour for option in ten.options[:-1]] == [f"#{each}" for each in MONK_HEX]


def test_an_attribute_without_its_own_wording_is_asked_by_its_name():
    assert by_name(TAXONOMY)["hair_length"].text == "Hair length"


def test_the_form_ends_where_nobody_is_in_the_image():
    people = by_name(TAXONOMY)["n_people"]
    assert people.ends == values(people)[0] == "none" and people.place == "column"


def test_the_version_changes_with_any_text():
    before = version_of(questions_of(TAXONOMY))
    assert len(before) == 8 and version_of(questions_of(TAXONOMY)) == before
    assert version_of(questions_of(TAXONOMY | {"tone": ("light", "medium", "darker")})) != before
