"""The bar beside a distance: one scale for a table, nothing outside its ends."""

import math
import re

from helpers.report import an_estimate

from evenhand.reports.leaderboard.interval_bar import WIDTH, Scale, interval_bar


def a_row(value, low=math.nan, high=math.nan):
    return an_estimate("rms_delta", value, attributes="gender", low=low, high=high)


def places(image, kind):
    return [float(x) for x in re.findall(rf'class="{kind}" d="M([\d.]+)', image)]


def test_the_scale_starts_at_zero_and_holds_every_interval():
    scale = Scale.of([a_row(0.2, 0.1, 0.43), None, a_row(0.3)], a_row(0.4))
    assert scale.high == 0.5 and scale.base == 0.4
    assert 0 < scale.x(0) < scale.x(0.25) < scale.x(0.5) < WIDTH
    assert scale.x(-1) == scale.x(0) and scale.x(9) == scale.x(0.5)


def test_the_bar_shows_interval_baseline_and_fits():
    scale = Scale(high=0.5, base=0.4)
    image = interval_bar(a_row(0.2, 0.1, 0.3), scale, fits=[0.15, 0.2, math.nan])
    assert places(image, "span") == [scale.x(0.1)]
    assert places(image, "base") == [scale.x(0.4)]
    assert places(image, "fit") == [scale.x(0.15), scale.x(0.2)]


def test_nothing_is_drawn_without_a_value_and_no_interval_without_ends():
    scale = Scale.of([], None)
    assert interval_bar(None, scale) == interval_bar(a_row(math.nan), scale) == ""
    assert "span" not in interval_bar(a_row(0.2), scale)
