"""Published figures: found with a place, or said to be missing."""

import math

import pytest

from evenhand.bench.registry.entry_points import METHODS
from evenhand.bench.studies.published_effects import Published, data, figures

NO_PAPER = {
    "base",
    "random-attribute-prompt",
    "targeted-attribute-prompt",
    "sortition",
    "sortition-prompt",
    "sortition-images",
}


def a_published(**changes):
    return Published(**{"method": "uce", "figures": "own", "metric": "deviation_ratio"} | changes)


def test_every_published_method_has_one_row():
    assert sorted(one.method for one in data().published) == sorted(set(METHODS.names()) - NO_PAPER)


@pytest.mark.parametrize("one", data().published, ids=lambda one: one.method)
def test_figures_are_found_with_a_place_or_said_to_be_missing(one):
    _, _, effect = figures(one)
    assert math.isfinite(effect) == (one.figures != "none") == bool(one.place)
    assert one.remark or one.figures == "own"


def test_figures_come_from_the_literature_table():
    one = a_published(protocol="efa-36", row="UCE")
    assert figures(one) == (0.71, 0.34, pytest.approx(1 - 0.34 / 0.71))


def test_an_effect_on_a_metric_whose_best_value_is_one_is_that_on_the_rest():
    one = a_published(metric="fairimagen_fairness", baseline=0.2, value=0.6)
    assert figures(one)[2] == pytest.approx(0.5)


def test_a_missing_row_of_the_literature_table_is_an_error():
    with pytest.raises(Exception, match="uce: no deviation_ratio of 'nobody' in 'efa-36'"):
        figures(a_published(protocol="efa-36", row="nobody"))
