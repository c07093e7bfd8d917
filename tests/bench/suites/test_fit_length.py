"""A tuned method is trained as long for every concept of a run as for those of its search."""

import pytest

from evenhand.bench.prompts.plan import concepts, make_plan
from evenhand.bench.prompts.selection import method_use, method_uses
from evenhand.bench.registry.entry_points import METHODS
from evenhand.bench.registry.method_spec import MethodUse, load_method, parse_method
from evenhand.bench.suites.fit_length import bound, lengthened
from evenhand.bench.suites.suite import load_suite
from evenhand.bench.tuning.development import development_suite

TRAINED = [name for name in METHODS.names() if load_method(name).training_length]


def grown(text, growth):
    use = MethodUse(text.partition(":")[0], load_method(text))
    return lengthened(use, growth=growth).method


def product(method):
    length = 1
    for name in method.training_length:
        length *= getattr(method, name)
    return length


@pytest.mark.parametrize("name", TRAINED)
def test_a_training_grows_with_the_concepts(name):
    first, *others = load_method(name).training_length
    short = load_method(name).model_copy(update={first: 2} | dict.fromkeys(others, 1))
    longer = lengthened(MethodUse(name, short), growth=7.0).method
    assert product(longer) == 7 * product(short)
    assert longer.model_copy(update={first: 2}) == short


def test_what_one_parameter_cannot_grow_the_next_one_does():
    published = load_method("efa")
    found = grown(f"efa:steps={published.steps},batch=1", 3.0)
    assert (found.steps, found.batch) == (published.steps, 3)
    half = grown(f"efa:steps={published.steps // 2},batch=1", 4.0)
    assert (half.steps, half.batch) == (published.steps, 2)


@pytest.mark.parametrize("name", TRAINED)
def test_no_training_is_longer_than_published(name):
    shortest = load_method(name).model_copy(update=dict.fromkeys(load_method(name).training_length, 1))
    assert lengthened(MethodUse(name, shortest), growth=1e9).method == load_method(name)
    assert lengthened(MethodUse(name, shortest), growth=1e9).method.share_trained == 1


def test_given_parameters_and_all_others_stay():
    use = MethodUse("efa:steps=7", load_method("efa:steps=7"))
    assert lengthened(use, growth=5.0).method.steps == 7
    before, after = load_method("respodiff:iterations=3").model_dump(), grown("respodiff:iterations=3", 5.0)
    assert {name for name, value in after.model_dump().items() if before[name] != value} == {"iterations"}


@pytest.mark.parametrize("name", ["mist", "uce", "sortition", "base"])
def test_a_method_that_trains_nothing_stays(name):
    assert lengthened(MethodUse(name, load_method(name)), growth=7.0).method == load_method(name)


def test_fewer_concepts_do_not_shorten_a_training():
    assert grown("respodiff:iterations=30", 0.2).iterations == 30


def test_the_bound_counts_images_and_training_passes():
    suite = load_suite("mini-quick")
    budget = load_method("interpret-diffusion:images=10,epochs=4,batch=2").budget(
        concepts=1, cells=suite.cells()
    )
    steps, branches = suite.protocol.steps, 2
    assert bound(budget, suite.protocol) == 2 * 10 * steps * branches + 4 * 20 + 1


def test_a_run_lengthens_the_training_of_tuned_methods_alone():
    suite = load_suite("mini-2")
    few = len(concepts(make_plan(development_suite(suite))[0]))
    assert (few, len(concepts(make_plan(suite)[0]))) == (5, 35)
    labels = ["respodiff", "respodiff:scale=1.0", "mist", "finetuning"]
    found = {use.label: use.method for use in method_uses(suite, labels)}
    tuned = parse_method("respodiff", suite=suite)
    assert tuned.search is not None
    assert found["respodiff"].iterations == 7 * tuned.method.iterations
    assert found["respodiff"].model_copy(update={"iterations": tuned.method.iterations}) == tuned.method
    assert method_use(suite, "respodiff").method == found["respodiff"], "an export fits what a run fits"
    # Not the tuned setting, and so as it was given.
    assert found["respodiff:scale=1.0"].iterations == tuned.method.iterations
    assert found["mist"] == parse_method("mist", suite=suite).method


def test_on_as_few_concepts_as_in_the_search_the_winner_stays():
    suite = load_suite("mini-2")
    same = suite.model_copy(update={"prompts": suite.tuning.prompts})
    assert method_use(same, "respodiff").method == parse_method("respodiff", suite=suite).method
