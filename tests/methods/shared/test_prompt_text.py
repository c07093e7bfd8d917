"""Templates are filled with the right words and articles."""

import doctest

import pytest
from helpers.methods import JOINT

from evenhand.bench.errors import EvenhandError
from evenhand.methods.shared import prompt_text
from evenhand.methods.shared.prompt_text import article, fill


def test_the_examples_in_the_docstrings_are_correct():
    results = doctest.testmod(prompt_text)
    assert results.attempted >= 2
    assert results.failed == 0


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("a person of {a} {concept}", "a person of an auditor"),
        ("{a} {noun}", "an elderly woman"),
        ("a photo of {a} {adjective} {concept}", "a photo of an elderly female auditor"),
    ],
)
def test_template_fields_are_filled(template, text):
    assert fill(template, concept="auditor", cell=JOINT[2]) == text


@pytest.mark.parametrize(
    "word",
    [
        *("European", "one-eyed", "unique", "university", "user", "CEO", "young", "utility", "urologist"),
        *("UI/UX", "US", "VP", "T-shirt", "SWAT", "NASA"),
    ],
)
def test_words_that_sound_like_a_consonant_take_a(word):
    assert article(word) == "a"


@pytest.mark.parametrize(
    "word",
    [
        *("elderly", "Asian", "unmarried", "unidentified", "hourly", "honest", "usher", "urban", "utmost"),
        *("X-ray", "HR", "MRI", "LGBTQ", "IT", "FBI agent"),
    ],
)
def test_words_that_sound_like_a_vowel_take_an(word):
    assert article(word) == "an"


@pytest.mark.parametrize("template", ["a {profession}", "a {noun}", "a {concept", "a {}"])
def test_an_unknown_field_raises_an_error_with_the_known_fields(template):
    with pytest.raises(EvenhandError, match=r"cannot fill template .*its fields are \{a\}, \{concept\}"):
        fill(template, concept="nurse")


@pytest.mark.parametrize("template", ['{a} "{concept}"', "{a}{concept}", "{concept} or {a}"])
def test_an_article_without_a_word_after_it_raises_an_error(template):
    with pytest.raises(EvenhandError, match=r"\{a\} needs a space and a word after it"):
        fill(template, concept="nurse")
