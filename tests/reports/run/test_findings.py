"""Figure titles: the finding in one line."""

import math

from helpers.readings import FEW, a_reading
from helpers.report import NAN, an_estimate

from evenhand.reports.run.findings import before_and_after, distance, unevenness


def test_baseline_and_methods_are_summarized_as_value_pair_or_range():
    base, mist, uce = (a_reading(label) for label in ("base", "mist", "uce"))

    def shown(value):
        return f"{value:.1f}"

    assert before_and_after([base], [0.8], shown) == "0.8"
    assert before_and_after([base, mist], [0.8, 0.3], shown) == "0.8 for the baseline, 0.3 with mist"
    assert (
        before_and_after([base, mist, uce], [0.8, 0.3, 0.5], shown)
        == "0.8 for the baseline, 0.3 to 0.5 with the methods"
    )
    assert before_and_after([mist, uce], [0.3, 0.3], shown) == "0.3 with the methods"
    assert before_and_after([base, mist], [0.8, -math.inf], shown) == "0.8 for the baseline"
    assert before_and_after([base], [-math.inf], shown) == "not estimable"


def test_distance_has_two_digits():
    readings = [a_reading("base"), a_reading("mist")]
    rows = [an_estimate("rms_delta", 0.804), an_estimate("rms_delta", 0.296)]
    assert (
        distance(readings, "gender*tone", rows)
        == "Distance over gender × skin tone: 0.80 for the baseline, 0.30 with mist"
    )


def test_concept_is_uneven_if_its_interval_is_above_the_chance_level():
    rows = [
        an_estimate("delta_tv", 0.5, low=0.3, high=0.7, floor=0.2),
        an_estimate("delta_tv", 0.3, low=0.1, high=0.5, floor=0.2),
        an_estimate("delta_tv", NAN, low=NAN, high=NAN, floor=0.2),
    ]
    numbers = {concept: [row] for concept, row in zip(FEW, rows, strict=True)}
    chance = dict.fromkeys(FEW, NAN)
    assert (
        unevenness([a_reading("base")], "tone", numbers, chance)
        == "Concepts uneven in skin tone, out of 3: 1"
    )
