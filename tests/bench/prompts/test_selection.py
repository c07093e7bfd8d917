"""What a run takes of a suite: the methods and their fits."""

import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.bench.prompts.selection import method_uses, resolve
from evenhand.bench.suites.prompt_use import PromptUse
from evenhand.bench.suites.suite import load_suite


def test_only_the_ranked_setting_of_a_method_is_fitted_several_times():
    suite = resolve("mini", limit=0, fits=3)
    labels = [use.label for use in method_uses(suite, ["mist", "mist:step_size=0.1", "mist:fit=5"])]
    assert labels == ["base", "mist", "mist:step_size=0.1", "mist:fit=5", "mist:fit=2", "mist:fit=3"]


@pytest.mark.parametrize("fits", [-1, 100])
def test_a_number_of_fits_out_of_range_is_refused(fits):
    with pytest.raises(EvenhandError, match="fits must be at most 99"):
        resolve("mini", limit=0, fits=fits)


@pytest.mark.parametrize("kind", ["explicit", "unrelated"])
def test_a_suite_without_neutral_prompts_is_refused_and_told_what_to_add(kind):
    only = PromptUse(name="development-mini", seeds=1, kinds=(kind,))
    suite = load_suite("mini-quick")
    refused = suite.model_copy(update={"prompts": (only,)})
    message = r"suite 'mini-quick' selects no neutral prompts, .* add a \[\[prompts\]\] table with some"
    with pytest.raises(EvenhandError, match=message):
        resolve(refused, limit=0)
    mixed = suite.model_copy(update={"prompts": (only, only.model_copy(update={"kinds": ("neutral",)}))})
    assert resolve(mixed, limit=0).prompts == mixed.prompts
