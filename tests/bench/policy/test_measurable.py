"""Over-correction is reported as a change, and only where its interval says something."""

import pytest
from helpers.losses import a_loss
from helpers.report import a_comparison, a_result, an_estimate

from evenhand.bench.policy.measurable import measurable, over_correction
from evenhand.bench.results.lookup import Reading


def readings(value, low, high, *, n=40, losses=()):
    change = a_comparison(0).model_copy(
        update={"metric": "over_correction", "attributes": "gender", "value": value, "low": low, "high": high}
    )
    row = an_estimate("over_correction", 0.5, attributes="gender", kind="over_correction", n=n)
    method = a_result("mist").model_copy(
        update={"estimates": [row], "comparisons": [change], "losses": list(losses)}
    )
    base = a_result("base").model_copy(update={"estimates": [row]})
    return Reading.of(method), Reading.of(base)


def test_narrow_change_is_the_paired_difference_with_its_images():
    found = over_correction(*readings(0.05, -0.02, 0.12, n=200), "gender")
    assert (found.row.value, found.n, found.reason) == (0.05, 200, "")


def test_wide_change_is_not_measurable_and_says_what_would_decide():
    loss = a_loss("over-correction").model_copy(update={"needed": 59.0})
    found = over_correction(*readings(0.0, -0.5, 0.55, n=4, losses=[loss]), "gender")
    assert found.row is None
    assert found.reason == (
        "the interval is 105 points wide with 4 images, less than 30 are needed; about 59 would decide"
    )


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.1), (float("nan"), 0.2), (-0.15, 0.15)])
def test_interval_without_width_or_of_30_points_says_nothing(low, high):
    assert not measurable(low, high)


def test_method_without_such_prompts_has_no_change():
    method, base = readings(0.0, -0.1, 0.1)
    assert over_correction(method, base, "age") is None
