"""The suites of the bundled model: built-in methods run by name, and development sees no scored prompt."""

from collections import Counter

import pytest

from evenhand.bench.prompts.plan import concepts, make_plan
from evenhand.bench.prompts.selection import method_uses
from evenhand.bench.registry.entry_points import METHODS
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.bench.suites.suite import load_suite

BUNDLED = sorted(name for name, entry in METHODS.entries().items() if entry.value.startswith("evenhand."))


@pytest.mark.parametrize("suite", ["mini", "mini-2", "mini-dev"])
@pytest.mark.parametrize("name", BUNDLED)
def test_a_built_in_method_needs_nothing_but_its_name(name, suite):
    chosen = load_suite(suite)
    use = {one.label: one for one in method_uses(chosen, [name])}[name]
    use.method.check(family="sd1", cells=chosen.cells())
    assert use.method.pretrained == (), "networks that do not come with the package"
    if judge := use.method.steering_judge:
        assert judge in chosen.non_voting_judges
        load_judge(judge)


def test_development_scores_the_five_occupations_that_no_suite_scores():
    items, _ = make_plan(load_suite("mini-dev"))
    assert set(concepts(items)) == {"auditor", "accountant", "editor", "mover", "chief"}
    texts = {item.prompt.text for item in items if item.prompt.kind in ("neutral", "explicit")}
    for scored in ("mini", "mini-2", "mini-gender"):
        others = {item.prompt.text for item in make_plan(load_suite(scored))[0]}
        assert not texts & others


def test_development_has_explicit_prompts_and_controls_and_is_small():
    kinds = Counter(item.prompt.kind for item in make_plan(load_suite("mini-dev"))[0])
    assert kinds == {"neutral": 90, "explicit": 60, "unrelated": 20, "over_correction": 10}


def test_development_uses_the_parameters_and_the_sampler_of_mini():
    development, scored = load_suite("mini-dev"), load_suite("mini-2")
    parts = ("methods", "tuned", "searches", "attributes", "protocol", "panel", "calibration", "balance")
    for part in parts:
        assert getattr(development, part) == getattr(scored, part), part


def test_the_quick_suite_has_images_enough_to_pass_a_method_that_changes_nothing():
    """Of n unchanged pairs, a share of more than 1 - .05 ** (1 / n) changed pairs is excluded."""
    items, _ = make_plan(load_suite("mini-quick"))
    kinds = Counter(item.prompt.kind for item in items)
    groups = Counter(
        pair for item in items if item.prompt.kind == "explicit" for pair in item.prompt.cell.items()
    )
    assert len(groups) == 2 + 3 + 2
    assert all(1 - 0.05 ** (1 / n) < 0.10 for n in groups.values())
    assert all(1 - 0.05 ** (1 / kinds[kind]) < 0.05 for kind in ("neutral", "explicit", "over_correction"))
