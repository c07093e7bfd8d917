"""Tuned methods are fitted longer in a run, as far as the passes allow and the authors went."""

import pytest

from evenhand.bench.prompts.selection import method_use, method_uses
from evenhand.bench.registry.method_spec import MethodUse, load_method, parse_method
from evenhand.bench.results.result import Search
from evenhand.bench.suites.fit_length import bound, lengthened
from evenhand.bench.suites.suite import load_suite

SUITE = load_suite("mini-quick")
"""Its protocol says how many passes an image takes."""


def longer(text, passes, concepts=1):
    use = MethodUse(text, load_method(text))
    return lengthened(use, suite=SUITE, passes=passes, concepts=concepts).method


def passes_of(method, concepts=1):
    return bound(method.budget(concepts=concepts, cells=SUITE.cells()), SUITE.protocol)


@pytest.mark.parametrize("text", ["respodiff", "efa", "difflens", "balancing-act", "iti-gen", "mist", "uce"])
def test_a_fit_is_as_long_as_the_passes_allow_and_not_longer(text):
    method = load_method(text)
    short = dict.fromkeys((*method.training_length, *method.loop_length), 2)
    first = method.model_copy(update=short)
    allowed = 20 * passes_of(first)
    use = lengthened(MethodUse(text, first), suite=SUITE, passes=allowed, concepts=1)
    assert passes_of(first) < passes_of(use.method) <= allowed
    assert any(getattr(use.method, name) > 2 for name in short)
    for name in short:
        published = type(method).model_fields[name].default
        grown = use.method.model_copy(update={name: getattr(use.method, name) + 1})
        assert passes_of(grown) > allowed or getattr(use.method, name) == published


def test_no_fit_is_longer_than_published():
    assert longer("mist:images=1", 10**12).rounds == 150
    method = lengthened(
        MethodUse("efa", load_method("efa:steps=2,batch=1")), suite=SUITE, passes=10**15, concepts=1
    ).method
    assert method.share_trained == 1


def test_a_fit_that_needs_more_than_the_passes_is_not_shortened():
    method = lengthened(
        MethodUse("mist", load_method("mist:rounds=7")), suite=SUITE, passes=1, concepts=1
    ).method
    assert method.rounds == 7


def test_given_parameters_and_all_others_stay():
    use = MethodUse("mist:rounds=7", load_method("mist:rounds=7"))
    assert lengthened(use, suite=SUITE, passes=10**9, concepts=1).method.rounds == 7
    before, after = load_method("uce:rounds=2").model_dump(), longer("uce:images=3", 10**9).model_dump()
    assert {name for name in before if before[name] != after[name]} == {"images", "rounds"}


def test_more_concepts_get_fewer_rounds_each():
    short = MethodUse("uce", load_method("uce:rounds=2,images=30"))
    one, many = (lengthened(short, suite=SUITE, passes=300_000, concepts=count).method for count in (1, 40))
    assert one.rounds == 30 > many.rounds > 2
    a_round_more = many.model_copy(update={"rounds": many.rounds + 1})
    assert passes_of(many, concepts=40) <= 300_000 < passes_of(a_round_more, concepts=40)


def tuned_suite(passes):
    """``mini-2`` with UCE's record, whose winner has few rounds."""
    suite = load_suite("mini-2")
    tuning = suite.tuning.model_copy(update={"long_passes": passes})
    return suite.model_copy(update={"tuning": tuning})


def test_a_run_lengthens_tuned_methods_alone():
    suite = tuned_suite(500_000)
    found = {use.label: use.method for use in method_uses(suite, ["uce", "respodiff", "uce:step_size=0.1"])}
    tuned = parse_method("uce", suite=suite)
    assert isinstance(tuned.search, Search)
    assert found["uce"].rounds > tuned.method.rounds
    assert found["uce"].model_copy(update={"rounds": tuned.method.rounds}) == tuned.method
    assert method_use(suite, "uce").method == found["uce"], "an export fits what a run fits"
    # Not the tuned setting, and so as it was given.
    assert found["uce:step_size=0.1"].rounds == tuned.method.rounds
    for label, method in found.items():
        if (use := parse_method(label, suite=suite)).search is None:
            assert method == use.method


def test_without_long_passes_the_tuned_length_stays():
    suite = tuned_suite(0)
    (uce,) = (use for use in method_uses(suite, ["uce"]) if use.label == "uce")
    assert uce.method == parse_method("uce", suite=suite).method
