"""What is refused before an entry is regenerated: other versions, and what only the entry asks for."""

import pytest
from helpers.report import a_result

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.suite import known_suite
from evenhand.bench.leaderboard.verification.reproduction import Reproduction
from evenhand.bench.registry.method_spec import method_class
from evenhand.bench.results.entry import Entry
from evenhand.bench.stages.progress import Progress
from evenhand.bench.suites.suite import load_suite


@pytest.fixture
def reproduction(tmp_path):
    """Makes the reproduction of an entry of ``mini-quick`` with changes of its method's card."""

    def make(name="uce", *, revision="", **changes):
        suite, result = load_suite("mini-quick"), a_result(name)
        own = {"version": method_class(name).info.version, "parameters": {}, "steering_judge": None}
        spec = result.spec.model_copy(
            update={
                "suite": suite.name,
                "suite_version": suite.version,
                "suite_digest": suite.digest(),
                "method": result.spec.method.model_copy(update=own | changes),
            }
        )
        known = known_suite(spec)
        assert known is not None
        return Reproduction(
            Entry(result=result.model_copy(update={"spec": spec})), known, tmp_path, Progress()
        )

    return make


def test_method_has_the_parameters_of_the_entry(reproduction):
    use = reproduction("fair-diffusion").use
    assert use.label == "fair-diffusion" and type(use.method) is method_class("fair-diffusion")


def test_parameters_that_a_method_got_later_have_the_value_of_earlier_fits(reproduction):
    earlier, now = reproduction("difflens").use.method, method_class("difflens")()
    assert (earlier.unit_norm, earlier.edit, now.unit_norm) == (False, "add", True)
    assert reproduction("difflens", parameters={"unit_norm": True}).use.method.unit_norm


def test_other_version_of_the_method_is_refused(reproduction):
    with pytest.raises(EvenhandError, match=r"method 'uce' has version .* here, but the entry used 99"):
        _ = reproduction(version="99").use


def test_parameters_that_the_method_rejects_are_a_one_line_error(reproduction):
    with pytest.raises(
        EvenhandError, match=r"rejects the parameters of the entry .*; submit the run again"
    ) as fault:
        _ = reproduction(parameters={"nonsense": 1}).use
    assert "\n" not in str(fault.value)


def test_folder_without_the_intervention_says_what_to_give(reproduction, tmp_path):
    with pytest.raises(EvenhandError, match=r"no intervention found; give that of the submitted run"):
        reproduction().intervention(tmp_path / "nowhere")


def test_judge_that_only_the_entry_knows_is_not_loaded(reproduction):
    with pytest.raises(
        EvenhandError, match=r"needs the judge 'somebody/model', whose parameters come from the"
    ):
        reproduction("mist", parameters={"judge": "somebody/model"}).intervention(None)
