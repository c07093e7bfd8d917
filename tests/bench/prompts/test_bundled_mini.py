"""Every prompt for the bundled model is a caption that its training could have used."""

from itertools import product

import pytest
from transformers import CLIPTokenizer

from evenhand.bench.mini import ROOT
from evenhand.bench.mini.law import characters, objects, occupations
from evenhand.bench.prompts.prompt_set import load_prompt_set

MINI_SETS = ("winobias-40", "intersectional-mini", "controls-mini")
"""Sets of training captions."""

READABLE = (*MINI_SETS, "over-correction-mini")
"""These, and the words that the model was not trained on but reads by their endings."""

TEMPLATES = (
    "a photo of {}",
    "{}",
    "a portrait of {}",
    "a picture of {}",
    "an image of {}",
    "a photo of the face of {}",
)
AGES = ("", "young ", "adult ", "elderly ", "old ")
TONES = ("", "light-skinned ", "medium-skinned ", "dark-skinned ")
GENDERS = ("", "female ", "male ")


def with_article(phrase):
    return ("an " if phrase[0].lower() in "aeiou" else "a ") + phrase


@pytest.fixture(scope="module")
def captions():
    """The training captions that prompts may use: people with attribute words, objects, characters."""
    nouns = [*occupations(), "person"]
    phrases = {with_article(f"{a}{t}{g}{noun}") for a, t, g, noun in product(AGES, TONES, GENDERS, nouns)}
    phrases |= {with_article(thing) for thing in objects()}
    phrases |= {name if "claus" in name else with_article(name) for name in characters()}
    return {template.format(phrase).lower() for template in TEMPLATES for phrase in phrases}


@pytest.fixture(scope="module")
def tokenizer():
    return CLIPTokenizer.from_pretrained(ROOT / "pipeline" / "tokenizer")


@pytest.mark.parametrize("name", MINI_SETS)
def test_every_prompt_is_a_training_caption(name, captions):
    assert [
        prompt.text for prompt in load_prompt_set(name).prompts if prompt.text.lower() not in captions
    ] == []


@pytest.mark.parametrize("name", READABLE)
def test_every_prompt_fits_the_text_encoder(name, tokenizer):
    lengths = {
        prompt.text: len(tokenizer(prompt.text)["input_ids"]) for prompt in load_prompt_set(name).prompts
    }
    assert max(lengths.values()) <= tokenizer.model_max_length == 24


@pytest.mark.parametrize("name", READABLE)
def test_every_token_is_known(name, tokenizer):
    for prompt in load_prompt_set(name).prompts:
        ids = tokenizer(prompt.text)["input_ids"]
        assert tokenizer.decode(ids, skip_special_tokens=True).replace(" - ", "-") == prompt.text.lower()


def test_every_object_character_and_occupation_has_a_prompt():
    concepts = {prompt.concept.lower() for name in MINI_SETS for prompt in load_prompt_set(name).prompts}
    assert {name.lower() for name in (*occupations(), *objects(), *characters())} <= concepts


def test_over_correction_words_end_in_a_token_of_their_group(tokenizer):
    for prompt in load_prompt_set("over-correction-mini").prompts:
        assert tokenizer.tokenize(prompt.concept)[-1] == f"{prompt.cell['gender']}</w>"
