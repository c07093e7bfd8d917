"""What a schema rejects, said in the words of this project."""

import pytest
from helpers.verification import A_VERIFICATION
from pydantic import ValidationError

from evenhand.bench.parsing.schema_words import in_words
from evenhand.bench.results.entry import Verification


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": "x"}, "seed must be an integer, got 'x'"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"images": 0}, "images must be greater than 0, got 0"),
        ({"fitted": 1}, "fitted must be true or false, got 1"),
        ({"device": None}, "device must be text, got None"),
        ({"entry": "zz"}, "entry does not have the required form, got 'zz'"),
        ({"answers": {}}, "answers must be a list"),
        ({"more": 1}, "more is not a field of this document, got 1"),
        (
            {"same_images": 61},
            "same_images and asked must be at most images, the number of regenerated images",
        ),
        ({"seed": "x", "device": 3}, "device must be text, got 3 (and 1 more error)"),
    ],
)
def test_first_error_is_named_with_its_place_and_value(changes, words):
    with pytest.raises(ValidationError) as fault:
        Verification.model_validate(A_VERIFICATION | {"answers": []} | changes, strict=True)
    assert in_words(fault.value) == words


def test_missing_field_is_named():
    with pytest.raises(ValidationError) as fault:
        Verification.model_validate({name: value for name, value in A_VERIFICATION.items() if name != "seed"})
    assert in_words(fault.value) == "seed is missing"


def test_values_are_cut_and_stay_on_one_line():
    with pytest.raises(ValidationError) as fault:
        Verification.model_validate(A_VERIFICATION | {"seed": "a\nb" * 1000}, strict=True)
    said = in_words(fault.value)
    assert "\n" not in said and len(said) < 120
