"""Numbers of images: reference tables, exact search and simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_confint

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.statistics import sample_size as n
from evenhand.metrics.statistics.intervals import effective_n
from evenhand.metrics.statistics.uncertainty import stream


def wilson_half(images, share):
    low, high = proportion_confint(share * images, images, method="wilson")
    return (high - low) / 2


@pytest.mark.parametrize(("wanted", "images"), [(0.1, 93), (0.05, 381), (0.03, 1064)])
def test_half_widths_need_the_published_numbers_of_images(wanted, images):
    assert n.images_for_half_width(wanted) == images


@given(st.floats(0.02, 0.4), st.floats(0.05, 0.5))
def test_one_image_fewer_misses_the_half_width(wanted, share):
    found = n.images_for_half_width(wanted, share=share)
    assert wilson_half(found, share) <= wanted + 1e-9
    assert found == 1 or wilson_half(found - 1, share) > wanted - 1e-9


@given(st.floats(0.001, 0.9))
def test_one_image_fewer_misses_the_probability_of_a_rare_cell(share):
    found = n.images_for_cell(share)
    assert 1 - (1 - share) ** found >= 0.95 - 1e-9
    assert found == 1 or 1 - (1 - share) ** (found - 1) < 0.95


def test_a_cell_of_two_percent_needs_149_images():
    assert n.images_for_cell(0.02) == 149


def test_detectable_difference_is_that_of_a_two_sample_test():
    expected = NormalIndPower().solve_power(nobs1=36 * 100, alpha=0.05, power=0.8)
    assert n.detectable_difference(100, concepts=36) == pytest.approx(expected, rel=1e-4)
    assert n.detectable_difference(100, concepts=36) == pytest.approx(2.8 * np.sqrt(2 / 3600), rel=1e-3)


def test_images_for_a_difference_detect_it():
    for wanted in (0.03, 0.05, 0.1):
        found = n.images_for_difference(wanted, concepts=36)
        assert n.detectable_difference(found, concepts=36) <= wanted
        assert n.detectable_difference(found - 1, concepts=36) > wanted


PUBLISHED_POWER = {
    25: (0.11, 0.23, 0.64),
    50: (0.20, 0.39, 0.84),
    100: (0.26, 0.66, 0.99),
    150: (0.44, 0.82, 1.00),
    250: (0.63, 0.95, 1.00),
}
"""Of differences 0.03, 0.05 and 0.10 of mean Delta over 36 occupations; 400 runs each."""


@pytest.mark.parametrize("images", PUBLISHED_POWER)
def test_simulated_power_matches_the_reference_table(images):
    rng = stream(0, "power", str(images))
    for difference, published in zip((0.03, 0.05, 0.10), PUBLISHED_POWER[images], strict=True):
        found = n.simulated_power(difference, n=images, concepts=36, rng=rng, runs=2000)
        error = np.sqrt(published * (1 - published) * (1 / 400 + 1 / 2000))
        assert found == pytest.approx(published, abs=3.5 * error + 0.005), difference


def test_the_closed_form_is_conservative_compared_with_the_simulation():
    images = n.images_for_difference(0.05, concepts=36)
    assert n.simulated_power(0.05, n=images, concepts=36, rng=stream(0, "x"), runs=2000) > 0.8


def test_without_a_difference_power_is_the_level_of_the_test():
    found = n.simulated_power(0, n=100, concepts=36, rng=stream(0, "x"), runs=4000, deltas=[0.2, 0.6])
    assert found == pytest.approx(0.05, abs=0.012)


def test_imperfect_judges_need_more_images():
    assert n.judge_inflation(sensitivity=1, specificity=1) == 1
    assert n.judge_inflation(sensitivity=0.966, specificity=0.966) == pytest.approx(1.15, abs=0.005)
    assert n.judge_inflation(sensitivity=0.9, specificity=0.9) == pytest.approx(1.5625)
    with pytest.raises(EvenhandError, match="no better than chance"):
        n.judge_inflation(sensitivity=0.4, specificity=0.6)


@given(st.floats(10, 200), st.integers(5, 40), st.floats(0, 0.02))
def test_images_of_templates_have_the_requested_effective_size(worth, templates, correlation):
    found = n.images_of_templates(worth, templates=templates, correlation=correlation)
    assert effective_n(found, cluster_size=max(found / templates, 1), correlation=correlation) >= worth - 1e-6


def test_more_seeds_cannot_replace_templates():
    assert effective_n(10**9, cluster_size=10**9 / 5, correlation=0.1) == pytest.approx(50)
    with pytest.raises(
        EvenhandError, match="worth at most 50 independent images, but 93 are needed; use at least 10"
    ):
        n.images_of_templates(93, templates=5, correlation=0.1)
    assert n.images_of_templates(93, templates=10, correlation=0.1) > 93


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        (lambda: n.images_for_half_width(0.5), "half width must be above 1e-06 and below 0.5"),
        (lambda: n.images_for_half_width(1e-300), "half width must be above 1e-06"),
        (lambda: n.images_for_difference(1e-300, concepts=4), "difference must be above 1e-06"),
        (lambda: n.images_for_cell(1e-17), "share of the cell must be above 1e-06"),
        (lambda: n.images_for_difference(2, concepts=36), "difference must be above 1e-06 and below 1"),
        (
            lambda: n.judge_inflation(sensitivity=1.2, specificity=1),
            "sensitivity must be between 0 and 1",
        ),
        (
            lambda: n.images_of_templates(9, templates=0, correlation=0),
            "number of templates must be",
        ),
        (
            lambda: n.images_of_templates(9, templates=5, correlation=1),
            "correlation of templates must be at least 0 and below 1, got 1",
        ),
        (
            lambda: n.plan_sizes(n.Design(concepts=0), cells=[0.1]),
            "number of concepts must be",
        ),
    ],
)
def test_numbers_out_of_range_are_an_error(call, fault):
    with pytest.raises(EvenhandError, match=fault):
        call()
