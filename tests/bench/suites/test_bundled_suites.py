"""The suites for full-size models parse and plan without weights, and report what is missing."""

import json
import re
from collections import Counter

import pytest

from evenhand.bench.prompts.plan import concepts, make_plan
from evenhand.bench.prompts.selection import method_uses
from evenhand.bench.registry.judge_spec import judge_name, judge_recipe
from evenhand.bench.registry.spec_text import build, split
from evenhand.bench.suites.suite import load_suite, read_suite
from evenhand.bench.suites.toml_text import to_toml
from evenhand.metrics.taxonomies import groups

NEUTRAL = {"winobias-gender": 150, "winobias-race4": 150, "intersectional": 200}
"""Neutral images of every occupation, in the suites with a published protocol."""

FAST = {"gender-fast": 30, "intersectional-fast": 60}
"""The same, in the suites for one consumer GPU."""

CELLS = {
    "winobias-gender": 2,
    "winobias-race4": 4,
    "intersectional": 8,
    "gender-fast": 2,
    "intersectional-fast": 8,
}


@pytest.fixture(params=CELLS)
def suite(request):
    return load_suite(request.param)


@pytest.fixture(params=NEUTRAL)
def published(request):
    return load_suite(request.param)


@pytest.fixture(params=FAST)
def fast(request):
    return load_suite(request.param)


def test_every_occupation_gets_the_published_number_of_images_in_five_templates(published):
    items, sets = make_plan(published)
    neutral = [item for item in items if item.prompt.kind == "neutral"]
    counts = Counter(item.prompt.concept for item in neutral)
    assert counts == dict.fromkeys(concepts(items), NEUTRAL[published.name])
    assert len(counts) == 36 and "doctor" in counts
    assert {item.prompt.template for item in neutral} == {
        f"uce5-{word}" for word in ("image", "picture", "photo", "headshot", "portrait")
    }
    assert [prompt_set.name for prompt_set in sets] == [
        "winobias-36",
        "intersectional",
        "over-correction",
        "controls",
    ]


def test_explicit_prompts_cover_every_group_of_the_balanced_attributes(suite):
    items, _ = make_plan(suite)
    for attribute in suite.balance:
        asked = Counter(item.prompt.cell.get(attribute) for item in items if item.prompt.kind == "explicit")
        assert set(groups(attribute)) <= set(asked)
    kinds = {"neutral", "explicit", "over_correction", "unrelated"}
    assert {item.prompt.kind for item in items} == kinds | ({"person"} if suite.name in NEUTRAL else set())


def test_the_fast_suites_ask_the_same_questions_with_fewer_images(fast):
    items, _ = make_plan(fast)
    counts = Counter(item.prompt.concept for item in items if item.prompt.kind == "neutral")
    assert counts == dict.fromkeys(concepts(items), FAST[fast.name]) and len(counts) == 36
    kinds = Counter(item.prompt.kind for item in items)
    assert kinds["explicit"] >= 420, "enough to decide a loss of 5 points where few images change"
    assert sum(kinds.values()) < 3500
    protocol = fast.protocol
    assert (protocol.steps, protocol.precision, protocol.compilation) == (20, "bfloat16", "whole")
    assert fast.defaults == ("base", "mist", "uce", "sortition", "targeted-attribute-prompt")


def test_every_group_has_150_explicit_images_in_the_fast_suites(fast):
    items, _ = make_plan(fast)
    for attribute in fast.balance:
        asked = Counter(item.prompt.cell.get(attribute) for item in items if item.prompt.kind == "explicit")
        assert all(asked[group] >= 150 for group in groups(attribute)), asked


def test_fits_of_the_fast_suites_draw_at_most_a_few_times_the_scored_images(evenhand, fast):
    outcome = evenhand("run", fast.name, "--dry-run")
    (line,) = re.findall(r"^images: .*", outcome.out + outcome.err, re.M)
    scored, fits = (int(number.replace(",", "")) for number in re.findall(r"[0-9,]+[0-9]", line)[:2])
    assert 0 < fits < 3 * scored


def test_the_model_and_the_sampler_are_those_of_the_published_numbers(published):
    assert published.model == "CompVis/stable-diffusion-v1-4"
    protocol = published.protocol
    assert (protocol.guidance, protocol.width, protocol.height) == (7.5, 512, 512)
    assert (protocol.solver, protocol.precision) == ("pndm", "float32")


def test_groups_are_those_that_photo_judges_distinguish(suite):
    assert suite.taxonomy == {attribute: groups(attribute) for attribute in suite.attributes}
    assert len(suite.cells()) == CELLS[suite.name]


def test_cells_have_words_that_read_as_english():
    names = {(cell.adjective, cell.noun) for cell in load_suite("intersectional").cells()}
    assert ("Asian female", "Asian woman") in names and ("White male", "White man") in names
    assert {cell.noun for cell in load_suite("winobias-race4").cells()} >= {"Black person", "Indian person"}


def test_every_judge_is_named_as_in_tables_and_accepts_its_parameters(suite):
    steering = [parameters["judge"] for parameters in suite.methods.values()]
    for text in [*suite.panel, *suite.non_voting_judges, *steering]:
        assert judge_name(text) == text
        name, given = split(text, kind="judge")
        recipe = judge_recipe(name)
        assert set(suite.attributes) <= set(recipe.card.attributes)
        build(recipe, name, given, kind="judge")


@pytest.mark.slow
def test_the_panel_spans_several_families_and_excludes_steering_judges(suite):
    families = {judge_recipe(split(text, kind="judge")[0]).card.family for text in suite.panel}
    assert len(families) > 1
    uses = method_uses(suite, [*suite.defaults, *suite.methods])
    steering = {use.method.steering_judge for use in uses} - {None}
    assert steering == set(suite.non_voting_judges)
    assert not steering & set(suite.panel)
    assert not any("model=ViT-B-32" in text for text in suite.panel)


def test_no_method_edits_a_scored_prompt_where_the_protocol_is_ours():
    suite = load_suite("intersectional")
    items, _ = make_plan(suite)
    scored = {item.prompt.text.lower() for item in items if item.prompt.kind == "neutral"}
    (uce,) = (use.method for use in method_uses(suite, ["uce"]) if use.name == "uce")
    edited = {text.replace("{a} ", "").format(concept="nurse") for text in uce.templates}
    assert edited and not edited & scored


def test_mist_edits_one_model_per_concept_on_images_of_20_steps_as_released(suite):
    (mist,) = (use.method for use in method_uses(suite, ["mist"]) if use.name == "mist")
    assert mist.scope == "per-concept"
    assert (mist.fit_steps or suite.protocol.steps) == 20


def test_a_resolved_suite_reads_back_as_itself(suite, tmp_path):
    path = tmp_path / "suite.toml"
    path.write_text(to_toml(suite.model_dump(mode="json")))
    assert read_suite(path) == suite


@pytest.mark.parametrize("name", NEUTRAL)
def test_a_suite_is_shown_and_planned_without_any_weights(evenhand, name):
    shown = evenhand("show", name, "--json")
    card = next(card for card in json.loads(shown.out) if card["kind"] == "suite")
    assert card["digest"] == load_suite(name).digest()
    rows = json.loads(evenhand("run", name, "--dry-run", "--json").out)
    assert {row["method"] for row in rows} == {"base", "mist", "uce", "random-attribute-prompt"}
    assert sum(row["images"] for row in rows if (row["method"], row["kind"]) == ("base", "neutral")) == (
        36 * NEUTRAL[name]
    )


def test_a_run_without_the_judges_weights_is_a_one_line_error(evenhand, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = evenhand("run", "winobias-gender")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.splitlines()[-1].startswith("evenhand: weights file 'weights/res34_fair_align")
    assert "does not exist; give" in outcome.err
    assert not (tmp_path / "runs" / "winobias-gender" / "suite.toml").exists()


def test_a_run_without_the_models_weights_is_a_one_line_error(evenhand, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    ours = {
        "panel": ("clip-s",),
        "non_voting_judges": (),
        "scorer": "mini",
        "methods": {},
        "defaults": ("base",),
    }
    suite = load_suite("winobias-gender").model_copy(update=ours)
    path = tmp_path / "suite.toml"
    path.write_text(to_toml(suite.model_dump(mode="json")))
    outcome = evenhand("run", path, "--out", tmp_path / "run")
    assert (outcome.code, outcome.out) == (2, "")
    told = outcome.err.splitlines()[-1]
    assert told.startswith(
        "evenhand: model 'CompVis/stable-diffusion-v1-4' is not in the cache and cannot be downloaded"
    )
    assert "Traceback" not in outcome.err
