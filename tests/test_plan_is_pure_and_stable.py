"""The plan depends on the suite alone, and a picture's key on what makes the picture."""

from pathlib import Path

import pytest

from evenhand.bench.plan import concepts, make_plan, noise_seed, picture_key
from evenhand.bench.suite import load_suite, read_suite, to_toml
from evenhand.methods.phrases import fill

TINY = Path(__file__).with_name("tiny_suite.toml")
PARTS = {"model": "m", "protocol": "p", "intervention": "i", "prompt": "t", "seed": 1, "negative": ""}


def test_every_prompt_of_a_suite_gets_all_its_seeds():
    items, _ = make_plan(read_suite(TINY))
    assert [(item.prompt.concept, item.seed_index) for item in items] == [
        (concept, index) for concept in ("nurse", "CEO") for index in range(4)
    ]
    assert concepts(items) == ("nurse", "CEO")


def test_noise_differs_between_prompts_and_seeds_and_stays_the_same():
    seeds = {noise_seed(text, index) for text in ("a nurse", "a cook") for index in range(100)}
    assert len(seeds) == 200
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert noise_seed("a photo of a nurse", 0) == 307533311324940216


@pytest.mark.parametrize("part", list(PARTS))
def test_everything_that_makes_a_picture_is_in_its_key(part):
    changed = PARTS | {part: 2 if part == "seed" else "other"}
    assert picture_key(**changed) != picture_key(**PARTS)


@pytest.mark.parametrize("name", ["mini", "mini-quick"])
def test_a_resolved_suite_reads_back_as_itself(tmp_path, name):
    suite = load_suite(name)
    path = tmp_path / "suite.toml"
    path.write_text(to_toml(suite.model_dump(mode="json")))
    assert read_suite(path) == suite


@pytest.mark.parametrize("name", ["mini", "mini-quick"])
def test_the_bundled_suites_score_none_of_the_concepts_that_parameters_were_chosen_on(name):
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
            # A text that names a cell is none of the neutral prompts.
            if "{concept}" in str(text) and "{adjective}" not in text and "{noun}" not in text:
                assert not {fill(text, concept=concept) for concept in concepts(items)} & scored


def test_the_suites_panel_and_witnesses_are_those_that_were_calibrated():
    from evenhand.bench.mini import calibrate

    for name in ("mini", "mini-quick"):
        suite = load_suite(name)
        assert suite.panel == tuple(make().info.name for make in calibrate.PANEL)
        assert suite.witnesses == tuple(make().info.name for make in calibrate.WITNESSES)
