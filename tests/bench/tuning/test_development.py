"""What a trial may see."""

import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.bench.prompts.plan import concepts, make_plan
from evenhand.bench.registry.method_spec import method_class
from evenhand.bench.suites.prompt_use import PromptUse
from evenhand.bench.suites.suite import load_suite
from evenhand.bench.tuning.development import development_suite, screening_suite
from evenhand.bench.tuning.trial import affordable
from evenhand.metrics.table import PERSON_KINDS


def with_prompts(*uses):
    suite = load_suite("mini-2")
    return suite.model_copy(update={"tuning": suite.tuning.model_copy(update={"prompts": uses})})


TUNED = ["mini-2", "gender-fast", "intersectional-fast"]


@pytest.mark.parametrize("name", TUNED)
def test_no_scored_text_or_concept_is_seen(name):
    suite = load_suite(name)
    scored, seen = make_plan(suite)[0], make_plan(development_suite(suite))[0]
    assert not {item.prompt.text for item in scored} & {item.prompt.text for item in seen}
    people = [{i.prompt.concept for i in items if i.prompt.kind in PERSON_KINDS} for items in (scored, seen)]
    assert people[0] and people[1] and not people[0] & people[1]


def test_a_scored_concept_in_another_sentence_is_refused():
    use = PromptUse(name="winobias-36", seeds=1, concepts=("nurse",))
    with pytest.raises(EvenhandError, match=r"concept 'nurse' is scored by suite 'mini'; remove it from"):
        development_suite(with_prompts(use))


def test_a_scored_concept_of_over_correction_prompts_is_refused_in_another_sentence():
    uses = {
        template: PromptUse(name="over-correction-mini", seeds=1, templates=(template,))
        for template in ("photo", "bare")
    }
    neutral = PromptUse(name="development-mini", seeds=1, kinds=("neutral",))
    suite = with_prompts(neutral, uses["bare"]).model_copy(update={"prompts": (uses["photo"],)})
    with pytest.raises(EvenhandError, match=r"concept 'businesswoman' is scored by suite 'mini'; remove it"):
        development_suite(suite)


@pytest.mark.parametrize("name", [*TUNED, "mini-gender"])
def test_bundled_searches_see_every_gate_but_that_of_over_correction(name):
    kinds = {item.prompt.kind for item in make_plan(development_suite(load_suite(name)))[0]}
    assert kinds == {"neutral", "explicit", "unrelated"}, "docs/tune.md says which gates a search sees"


def test_development_prompts_without_neutral_ones_are_refused():
    use = PromptUse(name="development-mini", seeds=1, kinds=("explicit",))
    message = r"selects no neutral prompts, .* add a \[\[tuning.prompts\]\] table with some"
    with pytest.raises(EvenhandError, match=message):
        development_suite(with_prompts(use))


def test_a_scored_prompt_is_refused():
    neutral = PromptUse(name="development-mini", seeds=1, kinds=("neutral",))
    scored = PromptUse(name="controls-mini", seeds=1, kinds=("unrelated",))
    with pytest.raises(EvenhandError, match=r"prompt 'a photo of a cat' is scored"):
        development_suite(with_prompts(neutral, scored))


def test_a_suite_without_a_protocol_is_refused():
    with pytest.raises(EvenhandError, match=r"suite 'mini-quick' has no \[tuning\] table"):
        development_suite(load_suite("mini-quick"))


def test_the_first_stage_has_fewer_steps_and_images():
    suite = load_suite("gender-fast")
    development = development_suite(suite)
    first = screening_suite(suite, development)
    assert first.protocol == suite.protocol.model_copy(update={"steps": 10})
    assert [use.seeds for use in development.prompts] == [6, 4, 1]
    assert [use.seeds for use in first.prompts] == [2, 2, 1]
    assert first.digest() != development.digest()


def test_a_search_of_one_stage_has_no_other_suite():
    suite = load_suite("mini-2")
    development = development_suite(suite)
    assert screening_suite(suite, development) is development


def test_a_first_stage_with_more_steps_than_the_suite_is_refused():
    suite = load_suite("gender-fast")
    few = suite.model_copy(update={"protocol": suite.protocol.model_copy(update={"steps": 9})})
    with pytest.raises(EvenhandError, match=r"screening\.steps must be at most 9, the steps of suite"):
        screening_suite(few, development_suite(few))


@pytest.mark.parametrize("name", TUNED[1:])
def test_the_budget_allows_what_the_suite_states_for_its_own_methods(name):
    suite = load_suite(name)
    development = development_suite(suite)
    many = len(concepts(make_plan(development)[0]))
    tunable = [method for method in suite.defaults if method != "base" and method_class(method).space()]
    assert {"mist", "uce", "sortition"} <= set(tunable)
    for method in tunable:
        assert affordable(development, method, {}, concepts=many, passes=suite.tuning.passes), method


def test_the_development_suite_keeps_model_sampler_and_cells():
    suite = load_suite("mini-2")
    development = development_suite(suite)
    assert (development.model, development.protocol) == (suite.model, suite.protocol)
    assert development.cells() == suite.cells()
    assert development.panel == suite.tuning.panel


def test_the_protocol_does_not_change_the_digest_of_a_suite():
    suite = load_suite("mini-2")
    assert suite.digest() == suite.model_copy(update={"tuning": None}).digest()
