"""Each clause of the contract finds the methods that break it."""

import pytest
from helpers.local_methods import polite

from evenhand.bench.method_check.check import verdict
from evenhand.bench.method_check.contract import (
    ViolationError,
    accepts_other_tasks,
    documented,
    does_nothing_at_zero_strength,
    fits,
    is_reproducible,
    keeps_to_its_budget,
    leaves_the_model_unchanged,
    samples_at_its_declared_cost,
    space_holds_released_values,
    states_its_track,
    survives_storage,
)
from evenhand.bench.method_check.subject import subject_at

RETURN = '        return PoliteIntervention(data={"ending": self.ending})\n'
FIELD = '    ending: str = "please"\n'


def before(line):
    """``fit`` runs this line first."""
    return RETURN, f"        {line}\n{RETURN}"


def instead(text):
    """``fit`` returns this."""
    return RETURN, f"        return {text}\n"


def also(text):
    """The class has this as well."""
    return FIELD, f"{FIELD}{text}\n"


BUDGET = "    def budget(self, *, concepts, cells):\n        return Budget({})\n"
SPACE = """    @classmethod
    def space(cls):
        from evenhand.methods.space import Choice
        return {}
"""
DRAW = before('task.sample(["a nurse"], [1])')
HOOK = before("task.model.unet.register_forward_hook(lambda *given: None)")
CHANGE = before("next(task.model.unet.parameters()).data.add_(1)")
RANDOM = instead('PoliteIntervention(data={"ending": str(__import__("random").random())})')
PROMPT = "        return f\"{text} {self.data['ending']}\"\n"


def broken(clause, folder, *changes):
    with pytest.raises(ViolationError) as violation:
        clause(subject_at(str(polite(folder, *changes))))
    return str(violation.value)


def test_the_card_and_every_parameter_are_documented(tmp_path):
    assert "info.summary is empty" in broken(
        documented, tmp_path, ('"Appends a polite ending to every prompt."', '""')
    )
    assert "does not describe parameter 'ending'" in broken(
        documented, tmp_path, ("ending: What is appended to every prompt.", "")
    )


def test_a_space_names_parameters_with_their_released_values(tmp_path):
    wrong = SPACE.format('{"endng": Choice(("please", "thanks"))}')
    assert "'endng', which is not a parameter" in broken(space_holds_released_values, tmp_path, also(wrong))
    lacking = SPACE.format('{"ending": Choice(("now", "thanks"))}')
    assert "lacks its released value 'please'" in broken(space_holds_released_values, tmp_path, also(lacking))


def test_a_default_of_none_is_the_value_that_it_stands_for(tmp_path):
    def unnamed(text):
        return FIELD, f"    ending: str | None = None\n{text}\n"

    clause, space = space_holds_released_values, SPACE.format('{"ending": Choice(("please", "thanks"))}')
    message = "lacks its released value None; include it, or let search_start() name the value"
    assert message in broken(clause, tmp_path, unnamed(space))
    start = '    def search_start(self, cells):\n        return {"ending": "please"}\n'
    assert clause(subject_at(str(polite(tmp_path, unnamed(space + start))))) == "ending"


def test_a_forgotten_type_of_intervention_is_named(tmp_path):
    line = "    intervention_type: ClassVar[type[Intervention]] = PoliteIntervention\n"
    found = verdict(subject_at(str(polite(tmp_path, (line, "")))), fits)
    assert found.status == "failed"
    assert "fit returned PoliteIntervention, but intervention_type of Polite is Intervention" in found.detail


@pytest.mark.slow
def test_the_cost_of_a_fit_is_compared_with_the_budget(tmp_path):
    assert "images: 1 used, 0 declared" in broken(keeps_to_its_budget, tmp_path, DRAW)
    generous = also(BUDGET.format("images=5"))
    assert "images: 1 used, exactly 5 declared" in broken(keeps_to_its_budget, tmp_path, DRAW, generous)
    loose = also(BUDGET.format("images=5, exact=False"))
    assert keeps_to_its_budget(subject_at(str(polite(tmp_path, DRAW, loose)))) == "upper bounds"


@pytest.mark.slow
def test_passes_while_sampling_are_compared_with_the_budget(tmp_path):
    wrong = also(BUDGET.format("branches=1"))
    assert "0 further passes per image and step, 1 declared" in broken(
        samples_at_its_declared_cost, tmp_path, wrong
    )


@pytest.mark.slow
def test_a_fit_that_changes_the_model_is_found(tmp_path):
    assert "hooks are left on the model" in broken(leaves_the_model_unchanged, tmp_path, HOOK)
    assert "1 parameters of the model differ" in broken(leaves_the_model_unchanged, tmp_path, CHANGE)


def test_randomness_of_its_own_is_found(tmp_path):
    assert "draw all randomness from task.rng" in broken(is_reproducible, tmp_path, RANDOM)


@pytest.mark.slow
def test_images_that_depend_on_their_order_are_found(tmp_path):
    counting = """        self.data['n'] = self.data.get('n', 0) + 1
        return text + ' and' * self.data['n']
"""
    assert "keep all state in data and tensors" in broken(survives_storage, tmp_path, (PROMPT, counting))


def test_a_track_other_than_what_a_user_gets_is_found(tmp_path):
    wrong = also("    @property\n    def track(self):\n        return 'one model'\n")
    assert "track is 'one model', but a user gets 'at sampling time'" in broken(
        states_its_track, tmp_path, wrong
    )


@pytest.mark.slow
def test_an_effect_at_zero_strength_is_found(tmp_path):
    strong = also("    strength: ClassVar[str] = 'size'\n    size: float = 1.0\n")
    assert "at size=0" in broken(does_nothing_at_zero_strength, tmp_path, strong)


@pytest.mark.slow
def test_one_concept_and_one_attribute_are_tried_as_well(tmp_path):
    assert accepts_other_tasks(subject_at(str(polite(tmp_path)))) == "1 concept, 2 cells"
    greedy = before("assert len(task.concepts) > 1, 'several concepts'")
    found = verdict(subject_at(str(polite(tmp_path, greedy))), accepts_other_tasks)
    assert (found.status, found.detail) == ("failed", "AssertionError: several concepts")
