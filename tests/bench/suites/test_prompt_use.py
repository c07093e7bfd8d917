"""The part of a prompt set that a suite uses."""

import pytest
from pydantic import ValidationError

from evenhand.bench.suites.prompt_use import PromptUse


def test_by_default_the_whole_set_is_used_with_seeds_that_differ_between_prompts():
    use = PromptUse(name="winobias-40", seeds=4)
    assert (use.kinds, use.concepts, use.templates, use.asks, use.limit) == ((), (), (), (), 0)
    assert use.noise == "hashed"


@pytest.mark.parametrize(
    "wrong", [{"seeds": 0}, {"seeds": 100_001}, {"seeds": 1, "limit": -1}, {"seeds": 1, "noise": "random"}]
)
def test_numbers_outside_their_limits_are_an_error(wrong):
    with pytest.raises(ValidationError, match=list(wrong)[-1]):
        PromptUse(name="winobias-40", **wrong)


def test_the_number_of_seeds_is_required_and_a_misspelt_filter_is_an_error():
    with pytest.raises(ValidationError, match=r"seeds\n  Field required"):
        PromptUse(name="winobias-40")
    with pytest.raises(ValidationError, match=r"concept\n  Extra inputs are not permitted"):
        PromptUse(name="winobias-40", seeds=1, concept=("nurse",))
