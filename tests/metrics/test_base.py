"""Tallies and aggregates that every metric relies on."""

import numpy as np
import pytest
from helpers.metrics import CELLS, SHAPE

from evenhand.metrics.base import ImageMetric, Tally, lowest, spread
from evenhand.metrics.representation import mean_over, squared_deviation, uniform


def test_aggregates_skip_missing_rows():
    values = np.array([[0.2, np.nan, 0.4], [np.nan] * 3])
    assert mean_over(values) == pytest.approx([0.3, np.nan], nan_ok=True)
    assert lowest(values) == pytest.approx([0.2, np.nan], nan_ok=True)
    assert spread(values) == pytest.approx([0.2, np.nan], nan_ok=True)


def test_neutral_prompts_expect_no_group():
    blank = np.full((1, CELLS), np.nan)
    with pytest.raises(ValueError, match="neutral prompts expect no group"):
        Tally(blank, blank, blank[:, 0], blank[:, 0], uniform(CELLS), SHAPE).as_asked()


def test_the_share_as_asked_is_that_of_the_cell_that_each_row_names():
    shares = np.array([[[0.9, 0.1], [0.3, 0.7]], [[0.5, 0.5], [1.0, 0.0]]])
    rows = np.ones((2, 2))
    tally = Tally(shares, shares, rows, rows, np.full((2, 2), 0.5), (2,), expected=np.array([0, 1]))
    assert tally.as_asked().tolist() == [[0.9, 0.7], [0.5, 0.0]]
    assert (tally.squared_deviation == squared_deviation(shares, tally.target, rows)).all()


CARD = {
    "name": "hue",
    "title": "Hue",
    "better": "lower",
    "formula": "h",
    "cannot_tell": "much",
    "source": "a test",
    "kinds": ("neutral",),
    "column": "hue",
}


def test_only_values_with_an_interval_and_before_a_root_are_compared():
    assert ImageMetric(**CARD).compared
    assert not ImageMetric(**CARD, interval=False).compared
    assert not ImageMetric(**CARD, finish=np.sqrt).compared
