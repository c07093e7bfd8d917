"""The figures of the report: what they show of concepts and cells, and what they leave out."""

import base64
import io
import zipfile

import pytest
from helpers.readings import FEW, a_reading
from helpers.report import JOINT, an_estimate

from evenhand.bench.results.lookup import Key
from evenhand.reports.run.figures import (
    MAX_LINES,
    by_judge,
    cells,
    farthest,
    figures_archive,
    images_behind,
    lines_left_out,
    occupations,
    overview,
)


def test_share_is_uneven_if_its_interval_excludes_the_target():
    ends = [(0.6, 0.9), (0.1, 0.4), (0.4, 0.6)]
    rows = [
        an_estimate(
            "share", (low + high) / 2, attributes="gender", concept=c, group="woman", low=low, high=high
        )
        for c, (low, high) in zip(FEW, ends, strict=True)
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
    naive = [an_estimate("share", 0.9, concept=concept, **keys) for concept in FEW]
    corrected = [an_estimate("share", 0.7, concept=concept, corrected=True, **keys) for concept in FEW]
    whole = occupations([a_reading("base", *naive, *corrected)], "gender")
    partly = occupations([a_reading("base", *naive, *corrected[:2])], "gender")
    assert {row.cells[1].text for row in whole.table.rows} == {"70.0%"}
    assert {row.cells[1].text for row in partly.table.rows} == {"90.0%"}


def test_overview_has_a_panel_per_attribute_set_and_the_title_of_the_primary_one():
    rows = [an_estimate("rms_delta", value, attributes=name) for name, value in ((JOINT, 0.6), ("tone", 0.2))]
    figure = overview([a_reading("base", *rows)], Key("rms_delta", JOINT, "panel", False))
    assert [panel.heading for panel in figure.panels] == ["Gender × skin tone × age", "Skin tone"]
    assert figure.title == "Distance over gender × skin tone × age: 0.60"
    assert [row.cells[1].text for row in figure.table.rows] == ["0.600", "0.200"]


def test_judges_are_compared_only_where_at_least_two_were_measured():
    key = Key("rms_delta", "gender", "panel", False)
    rows = [an_estimate("rms_delta", 0.5, attributes="gender", judge=judge) for judge in ("panel", "vit")]
    assert by_judge([a_reading("base", rows[0])], key) is None
    figure = by_judge([a_reading("base", *rows), a_reading("mist", rows[0])], key)
    assert [panel.heading for panel in figure.panels] == ["base", "mist"]


def test_lines_farthest_from_their_target_are_kept_in_their_order():
    values = {f"job {place}": place / 100 for place in range(MAX_LINES + 2)}
    numbers = {name: [an_estimate("share", value)] for name, value in values.items()}
    targets = dict.fromkeys(numbers, 0.205)
    kept = [name for name in numbers if name not in ("job 20", "job 21")]
    assert list(farthest(numbers, targets)) == kept
    assert "the 40 of 42 concepts that are farthest" in lines_left_out(numbers, "concepts")
    assert lines_left_out(farthest(numbers, targets), "concepts") == ""


@pytest.mark.parametrize(
    ("counts", "said"), [((40, 40), "n = 40 each."), ((40, 1600), "n = 40 to 1,600 each.")]
)
def test_number_of_images_is_one_value_or_a_range(counts, said):
    assert images_behind({"a": [an_estimate("share", 0.5, n=n) for n in counts], "b": [None]}) == said


def test_every_panel_is_a_file_of_the_archive():
    rows = [an_estimate("rms_delta", 0.5, attributes=name) for name in (JOINT, "gender")]
    readings, key = [a_reading("base", *rows)], Key("rms_delta", JOINT, "panel", False)
    shares = [
        an_estimate("share", 0.5, attributes="gender", concept=concept, group="woman") for concept in FEW
    ]
    figures = [overview(readings, key), occupations([a_reading("base", *shares)], "gender")]
    packed = zipfile.ZipFile(io.BytesIO(base64.b64decode(figures_archive(figures).uri.split(",", 1)[1])))
    assert packed.namelist() == ["overview-1.svg", "overview-2.svg", "by-concept-gender.svg"]
    assert packed.read("overview-1.svg").lstrip().startswith(b"<")
    assert figures_archive([]) is None
