"""The plan depends only on the suite, and an image key on everything that affects the image."""

import json
from itertools import pairwise

import pytest
from helpers.paths import ROOT, TINY

from evenhand.bench.errors import EvenhandError
from evenhand.bench.prompts.plan import concepts, image_key, make_plan, noise_seed
from evenhand.bench.suites.prompt_use import PromptUse
from evenhand.bench.suites.suite import load_suite, read_suite
from evenhand.bench.suites.toml_text import to_toml
from evenhand.methods.shared.prompt_text import fill

ENTRIES = ROOT / "reports" / "entries"
PARTS = {"model": "m", "protocol": "p", "intervention": "i", "prompt": "t", "seed": 1, "negative": ""}


def test_every_prompt_of_a_suite_gets_all_its_seeds():
    items, _ = make_plan(read_suite(TINY))
    assert [(item.prompt.concept, item.seed_index) for item in items] == [
        (concept, index) for concept in ("nurse", "CEO") for index in range(4)
    ]
    assert concepts(items) == ("nurse", "CEO")


def test_noise_differs_between_prompts_and_seeds_and_is_reproducible():
    seeds = {noise_seed(text, index) for text in ("a nurse", "a cook") for index in range(100)}
    assert len(seeds) == 200
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert noise_seed("a photo of a nurse", 0) == 307533311324940216


def suite_of(tmp_path, *rows, header="prompt,concept,template,kind,cell,seeds", **use):
    """The tiny suite with a custom prompt set; it measures gender, woman and man."""
    path = tmp_path / "own.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    suite = read_suite(TINY)
    return suite.model_copy(update={"prompts": (PromptUse(name=str(path), **{"seeds": 1} | use),)})


def test_listed_seeds_are_used_in_order_if_the_suite_requests_them(tmp_path):
    rows = ("a nurse,nurse,bare,neutral,,4442;17;5", "a cook,cook,bare,neutral,,8;9")
    items, _ = make_plan(suite_of(tmp_path, *rows, seeds=2, noise="listed"))
    assert [(item.prompt.concept, item.seed_index, item.seed) for item in items] == [
        ("nurse", 0, 4442),
        ("nurse", 1, 17),
        ("cook", 0, 8),
        ("cook", 1, 9),
    ]
    hashed, _ = make_plan(suite_of(tmp_path, *rows, seeds=2))
    assert [item.seed for item in hashed][:2] == [noise_seed("a nurse", 0), noise_seed("a nurse", 1)]


def test_a_concept_in_two_spellings_is_an_error(tmp_path):
    rows = ("a nurse,nurse,bare,neutral,,1", "a male nurse,Nurse,bare,explicit,gender=man,2")
    with pytest.raises(
        EvenhandError, match="concepts 'nurse' and 'Nurse' differ only in letter case; use one"
    ):
        make_plan(suite_of(tmp_path, *rows))


def test_an_unknown_group_is_reported_with_the_file_of_its_prompt(tmp_path):
    row = "a male nurse,nurse,bare,explicit,gender=men,1"
    with pytest.raises(
        EvenhandError, match=r"group of gender in prompt 'a male nurse' of set '.*own\.csv': 'men'; did you"
    ):
        make_plan(suite_of(tmp_path, row))


def test_too_few_listed_seeds_are_an_error(tmp_path):
    with pytest.raises(
        EvenhandError, match=r"'a cook' of set .* must list at least 3 seeds, got 2; lower seeds"
    ):
        make_plan(suite_of(tmp_path, "a cook,cook,bare,neutral,,8;9", seeds=3, noise="listed"))


def test_an_image_that_two_entries_plan_is_an_error(tmp_path):
    suite = suite_of(tmp_path, "a nurse,nurse,bare,neutral,,", "a cook,cook,bare,neutral,,", seeds=2)
    (use,) = suite.prompts
    copy = tmp_path / "copy.csv"
    copy.write_text("prompt,concept,template,kind,cell\na nurse,nurse,bare,neutral,\n")
    for other in (use.model_copy(update={"concepts": ("nurse",)}), PromptUse(name=str(copy), seeds=1)):
        with pytest.raises(
            EvenhandError, match=r"use prompt 'a nurse' with the same noise, .* out of one entry"
        ):
            make_plan(suite.model_copy(update={"prompts": (use, other)}))
    parts = tuple(use.model_copy(update={"concepts": (name,)}) for name in ("nurse", "cook"))
    assert len(make_plan(suite.model_copy(update={"prompts": parts}))[0]) == 4


def test_a_prompt_cell_is_reduced_to_the_measured_attributes(tmp_path):
    row = "a Black woman,woman,bare,explicit,gender=woman;race=Black,"
    items, _ = make_plan(suite_of(tmp_path, row))
    assert items[0].prompt.cell == {"gender": "woman"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a Black nurse,nurse,bare,explicit,race=Black,", r"asks for race, which the suite does not measure"),
        ("a girl,girl,bare,explicit,gender=womann,", r"'womann'; did you mean 'woman'"),
    ],
)
def test_a_prompt_with_only_unmeasured_attributes_or_an_unknown_group_is_an_error(tmp_path, row, message):
    with pytest.raises(EvenhandError, match=message):
        make_plan(suite_of(tmp_path, row))


def test_newer_options_change_the_suite_digest_only_if_set(tmp_path):
    row = "a nurse,nurse,bare,neutral,,4442"
    digests = {
        suite_of(tmp_path, row, **use).digest() for use in ({}, {"noise": "listed"}, {"asks": ("gender",)})
    }
    assert len(digests) == 3
    published = json.loads((ENTRIES / "base@mini-v1" / "entry.json").read_text(encoding="utf-8"))["result"][
        "spec"
    ]
    assert load_suite("mini").digest() == published["suite_digest"]


@pytest.mark.parametrize("part", list(PARTS))
def test_everything_that_affects_an_image_is_in_its_key(part):
    changed = PARTS | {part: 2 if part == "seed" else "other"}
    assert image_key(**changed) != image_key(**PARTS)


@pytest.mark.parametrize("name", ["mini", "mini-quick"])
def test_a_resolved_suite_reads_back_as_itself(tmp_path, name):
    suite = load_suite(name)
    path = tmp_path / "suite.toml"
    path.write_text(to_toml(suite.model_dump(mode="json")))
    assert read_suite(path) == suite


@pytest.mark.parametrize("name", ["mini", "mini-quick"])
def test_bundled_suites_score_no_concept_used_for_tuning(name):
    items, _ = make_plan(load_suite(name))
    held_out = {"auditor", "accountant", "editor", "mover", "chief"}
    assert not held_out & {item.prompt.concept for item in items}


@pytest.mark.parametrize("name", ["mini", "mini-quick"])
def test_no_method_edits_a_scored_prompt(name):
    suite = load_suite(name)
    items, _ = make_plan(suite)
    scored = {item.prompt.text for item in items if item.prompt.kind == "neutral"}
    for parameters in suite.methods.values():
        texts = [
            text for value in parameters.values() for text in (value if isinstance(value, list) else [value])
        ]
        for text in texts:
            # A text that names a cell is not one of the neutral prompts.
            if "{concept}" in str(text) and "{adjective}" not in text and "{noun}" not in text:
                assert not {fill(text, concept=concept) for concept in concepts(items)} & scored


@pytest.mark.parametrize("name", ["mini", "mini-quick"])
def test_every_look_doubles_the_explicit_images_and_keeps_the_plan_before(name):
    plans = [make_plan(load_suite(name), look=look)[0] for look in (1, 2, 3, 4)]
    for before, after in pairwise(plans):
        assert after[: len(before)] == before
        assert {item.prompt.kind for item in after[len(before) :]} == {"explicit"}
    explicit = [[item for item in plan if item.prompt.kind == "explicit"] for plan in plans]
    assert [len(items) / len(explicit[0]) for items in explicit] == [1, 2, 4, 8]
    assert len({(item.prompt.id, item.seed_index) for item in explicit[-1]}) == len(explicit[-1])


def test_prompts_are_doubled_before_seeds(tmp_path):
    rows = [f"a male cook {place},cook,t{place},explicit,gender=man," for place in range(10)]
    suite = suite_of(tmp_path, *rows, seeds=1, limit=2)
    plans = [make_plan(suite, look=look)[0] for look in (1, 2, 3, 4)]
    sizes = [(len({item.prompt.id for item in items}), len(items)) for items in plans]
    assert sizes == [(2, 2), (4, 4), (8, 8), (8, 16)]


def test_suite_without_explicit_prompts_does_not_grow(tmp_path):
    suite = suite_of(tmp_path, "a cook,cook,bare,neutral,,8;9", seeds=2, noise="listed")
    assert make_plan(suite, look=4) == make_plan(suite)
