"""Figure titles: the finding in one line."""

import math

from helpers.report import JOINT, NAN, a_result, an_estimate

from evenhand.bench.results.lookup import Reading
from evenhand.reports.run.figures import cells, occupations
from evenhand.reports.run.findings import before_and_after, distance, unevenness

CONCEPTS = ["nurse", "cook", "CEO"]


def a_reading(label, *estimates):
    return Reading.of(a_result(label, concepts=CONCEPTS).model_copy(update={"estimates": list(estimates)}))


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
    numbers = {concept: [row] for concept, row in zip(CONCEPTS, rows, strict=True)}
    chance = dict.fromkeys(CONCEPTS, NAN)
    assert (
        unevenness([a_reading("base")], "tone", numbers, chance)
        == "Concepts uneven in skin tone, out of 3: 1"
    )


def test_share_is_uneven_if_its_interval_excludes_the_target():
    ends = [(0.6, 0.9), (0.1, 0.4), (0.4, 0.6)]
    rows = [
        an_estimate(
            "share", (low + high) / 2, attributes="gender", concept=c, group="woman", low=low, high=high
        )
        for c, (low, high) in zip(CONCEPTS, ends, strict=True)
    ]
    figure = occupations([a_reading("base", *rows)], "gender")
    assert figure.title == "Concepts uneven in gender, out of 3: 2"
    assert [row.cells[0].text for row in figure.table.rows] == ["nurse", "CEO", "cook"], "largest share first"


def test_figure_by_concept_falls_back_to_the_squared_distance_which_may_be_negative():
    keys = {"attributes": "gender", "floor": 0.0}
    rows = [
        an_estimate("excess_agreement", value, concept=concept, low=value - 0.1, high=value + 0.1, **keys)
        for concept, value in (("nurse", 0.5), ("cook", -0.05))
    ]
    figure = occupations([a_reading("base", *rows)], "gender")
    assert "Excess agreement" in figure.table.caption
    assert figure.title == "Concepts uneven in gender, out of 2: 1"
    assert occupations([a_reading("base")], "gender") is None


def test_rarest_cell_is_named_with_its_target():
    rows = [
        an_estimate("share", share, attributes=JOINT, group=cell)
        for cell, share in {"woman*light*adult": 0.4, "man*dark*older": 0.01}.items()
    ]
    assert (
        cells([a_reading("base", *rows)], JOINT).title
        == "Rarest cell, man × dark × older (target 8.3%): 1.0%"
    )


def test_corrected_and_uncorrected_rows_are_never_mixed():
    keys = {"attributes": "gender", "group": "woman"}
    naive = [an_estimate("share", 0.9, concept=concept, **keys) for concept in CONCEPTS]
    corrected = [an_estimate("share", 0.7, concept=concept, corrected=True, **keys) for concept in CONCEPTS]
    whole = occupations([a_reading("base", *naive, *corrected)], "gender")
    partly = occupations([a_reading("base", *naive, *corrected[:2])], "gender")
    assert {row.cells[1].text for row in whole.table.rows} == {"70.0%"}
    assert {row.cells[1].text for row in partly.table.rows} == {"90.0%"}
