"""The tuning protocol of a suite."""

import pytest
from pydantic import ValidationError

from evenhand.bench.suites.tuning_config import Tuning

LEAST = {"prompts": [{"name": "development-mini", "seeds": 1}], "panel": ["vit"]}


def test_the_trials_may_all_be_quasi_random():
    found = Tuning(**LEAST, trials=12, quasi_random=12)
    assert found.prompts[0].name == "development-mini" and found.records == ""


def test_more_quasi_random_trials_than_trials_are_an_error():
    with pytest.raises(ValidationError, match="quasi_random must be at most trials, got 12 of 11 trials"):
        Tuning(**LEAST, trials=11)


def test_more_finalists_than_trials_are_an_error():
    first = {"steps": 4, "seeds": 1, "finalists": 17}
    with pytest.raises(ValidationError, match="finalists must be at most trials, got 17 of 16 trials"):
        Tuning(**LEAST, screening=first)


@pytest.mark.parametrize(
    "wrong", [{"prompts": []}, {"panel": []}, {"passes": 0}, {"seed": 2**32}, {"draws": 99}]
)
def test_empty_lists_and_numbers_outside_their_limits_are_an_error(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Tuning(**LEAST | wrong)
