"""The data of the gallery: every image once, in a fixed order, with its labels in codes."""

import json

import pytest
from helpers.report import ATTRIBUTES
from helpers.stored_run import IMAGES, METHODS, a_stored_run

from evenhand.reports.gallery.data import FACTS, Units, chunks_of, index_of, script_json

WIDTH = len(ATTRIBUTES) + len(FACTS)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return a_stored_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def units(run):
    return Units.of(run.images_frame(), run.results)


@pytest.fixture(scope="module")
def index(run, units):
    return index_of(units, run.labels_frame(), run.results)


def test_json_for_scripts_has_no_markup_and_no_line_separator():
    text = script_json({"a": "</script>&\u2028\u2029"})
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {"a": "</script>&\u2028\u2029"}


def unit_of(index, method, unit):
    """The codes of one image: a label per attribute, then a set of attributes per fact."""
    return index["labels"][METHODS.index(method)][unit * WIDTH : (unit + 1) * WIDTH]


def test_units_are_prompts_and_seeds_in_the_order_of_kind_concept_and_seed(units, index):
    assert units.methods == list(METHODS) and len(units) == IMAGES // len(METHODS)
    prompts = [prompt for _, prompt, *_ in index["prompts"]]
    assert [
        (prompts[prompt], seed) for prompt, seed in zip(index["prompt_of"], index["seed_of"], strict=True)
    ] == [
        *((f"a photo of a {concept}", seed) for concept in ("nurse", "CEO") for seed in range(3)),
        ("a photo of a male nurse", 0),
        ("a photo of a male CEO", 0),
        ("a photo of a cat", 0),
    ]
    assert (index["methods"], index["base"]) == (list(METHODS), 0)


def test_labels_are_places_of_groups_and_facts_are_sets_of_attributes(index):
    assert unit_of(index, "base", 1) == "000000", "light adult woman, nothing to report"
    assert unit_of(index, "mist", 1) == "100100", "a man, so that the gender has changed"
    assert unit_of(index, "uce", 2)[0] == "-", "an undetermined gender"
    assert unit_of(index, "uce", 3) == "020200", "a dark tone, the second attribute"
    assert unit_of(index, "mist", 6)[4] == "1", "disobeys its prompt in gender"
    assert unit_of(index, "base", 8)[:3] == "...", "a cat has no labels"


def test_image_that_was_not_made_has_a_code_of_its_own(run):
    images = run.images_frame()
    gone = (images["method"] == "mist") & (images["seed_index"] == 1) & (images["concept"] == "nurse")
    images.loc[gone, "path"] = ""
    units = Units.of(images, run.results)
    index = index_of(units, run.labels_frame(), run.results)
    assert unit_of(index, "mist", 1) == " " * WIDTH and unit_of(index, "base", 1) == "000000"
    (chunk,) = chunks_of(units, run.labels_frame(), index)
    assert len(chunk["keys"]) == IMAGES - 1


def test_chunks_hold_every_image_once_with_the_answers_of_every_judge(run, units, index, monkeypatch):
    monkeypatch.setattr("evenhand.reports.gallery.data.CHUNK", 6)
    chunks = chunks_of(units, run.labels_frame(), index)
    assert [len(chunk["keys"]) for chunk in chunks] == [6, 6, 6, 6, 3]
    assert sorted(key for chunk in chunks for key in chunk["keys"]) == sorted(units.images["key"])
    judges, names = [name for name, _ in index["judges"]], list(ATTRIBUTES)
    size = 2 * len(judges) * len(names)
    assert all(len(chunk["answers"]) == size * len(chunk["keys"]) for chunk in chunks)
    place = 2 * (judges.index("vit") * len(names) + names.index("gender"))
    answers = [chunks[1]["answers"][number * size + place] for number in range(3)]
    assert answers == ["0", "0", "1"], "vit takes the last method's image for a man"


def test_note_is_the_text_of_a_rewritten_prompt(run, units, index):
    (chunk,) = chunks_of(units, run.labels_frame(), index)
    assert set(chunk["notes"]) == {place for place, at in enumerate(chunk["at"]) if at % 3 == 2}
    assert chunk["notes"][2] == "a photo of a nurse, rewritten"
