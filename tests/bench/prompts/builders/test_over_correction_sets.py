"""Over-correction prompts: people of both genders, defined without the words that methods look for."""

import re
from collections import Counter

import pytest

from evenhand.bench.prompts.builders.over_correction_sets import (
    MIN_RIGHT,
    PAIRS,
    Rate,
    over_correction,
    over_correction_mini,
    passing,
    rates,
)
from evenhand.bench.prompts.prompt_set import load_prompt_set

GROUP_WORDS = re.compile(r"\b(woman|women|man|men|female|male|person|girl|boy|lady|skinned|old|elderly)\b")
MINORS = re.compile(r"\b(girl|boy|child|baby|princess|prince|daughter|son)\b")
SETS = {"over-correction": over_correction, "over-correction-mini": over_correction_mini}


def rate(word, right, *, phase="selection", images=20):
    return Rate(word, "woman" if word.endswith("woman") else "man", phase, images, right, right)


@pytest.mark.parametrize("name", SETS)
def test_a_person_is_defined_without_a_word_that_methods_look_for(name):
    assert [row.prompt for row in SETS[name]() if GROUP_WORDS.search(row.prompt.lower())] == []


@pytest.mark.parametrize("name", SETS)
def test_one_seed_gives_150_to_200_images_half_of_women_half_of_men(name):
    rows = SETS[name]()
    assert 150 <= len(rows) <= 200
    assert Counter(row.cell["gender"] for row in rows) == dict.fromkeys(("woman", "man"), len(rows) // 2)
    assert {row.kind for row in rows} == {"over_correction"}


@pytest.mark.parametrize("name", SETS)
def test_every_person_has_one_cell_and_every_template(name):
    rows = SETS[name]()
    templates = {row.template for row in rows}
    for concept in {row.concept for row in rows}:
        own = [row for row in rows if row.concept == concept]
        assert len({tuple(row.cell.items()) for row in own}) == 1
        assert {row.template for row in own} == templates and len(own) == len(templates)


@pytest.mark.parametrize("limit", [10, 20])
def test_evenly_spaced_rows_meet_every_template(limit):
    rows = over_correction()
    taken = [rows[i * len(rows) // limit] for i in range(limit)]
    assert {row.template for row in taken} == {row.template for row in rows}


def test_only_historical_people_of_the_full_size_set_have_a_race():
    for row in over_correction():
        assert ("race7" in row.cell) == row.concept[0].isupper() or row.concept in (
            "Catholic pope",
            "Buddhist monk",
        )


def test_the_full_size_set_shows_one_adult_per_image():
    for row in over_correction():
        assert not MINORS.search(row.prompt)
        assert " and " not in row.prompt and " with " not in row.prompt


@pytest.mark.parametrize(("right", "passes"), [(19, True), (18, False)])
def test_a_pair_passes_with_95_percent_of_both_words(right, passes):
    measured = [rate("policewoman", 20), rate("policeman", right)]
    assert passing(measured) == ([("policewoman", "policeman")] if passes else [])


def test_a_pair_fails_if_either_word_fails_on_new_noise_or_was_not_measured():
    both = [rate("policewoman", 20), rate("policeman", 20)]
    assert passing([*both, rate("policewoman", 10, phase="confirmation")]) == []
    assert passing(both[:1]) == []


def test_the_words_of_the_bundled_model_are_the_pairs_that_it_draws_right_in_both_phases():
    phases = {(rate.word, rate.phase): rate for rate in rates()}
    kept = {row.concept for row in over_correction_mini()}
    for pair in PAIRS:
        assert (pair[0] in kept) == (pair[1] in kept)
        assert all((word, "selection") in phases for word in pair)
    for word in kept:
        for phase in ("selection", "confirmation"):
            found = phases[word, phase]
            assert found.panel_right >= MIN_RIGHT * found.images >= 0.95 * 12


def test_the_nearest_render_agrees_with_the_panel_on_the_words_that_are_kept():
    kept = {row.concept for row in over_correction_mini()}
    confirmed = [rate for rate in rates() if rate.phase == "confirmation" and rate.word in kept]
    images = sum(rate.images for rate in confirmed)
    assert sum(rate.render_right for rate in confirmed) >= MIN_RIGHT * images


@pytest.mark.parametrize("name", SETS)
def test_no_prompt_is_in_another_set(name):
    own = {row.prompt for row in SETS[name]()}
    for other in ("intersectional-mini", "intersectional", "controls-mini", "winobias-40"):
        assert not own & {prompt.text for prompt in load_prompt_set(other).prompts}
