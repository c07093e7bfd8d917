"""Shares against their targets: bars by group, and the heat map of joint cells."""

from helpers.full_report import group_rows
from helpers.readings import a_reading, shares_of
from helpers.report import JOINT, NAN, an_estimate

from evenhand.reports.run.share_figures import COLUMNS, cell_map, group_shares, side


def tones(*shares):
    groups = ("light", "medium", "dark")
    return [
        an_estimate("share", share, attributes="tone", group=group)
        for group, share in zip(groups, shares, strict=True)
    ]


def test_two_groups_and_unmeasured_ones_have_no_bars():
    women = an_estimate("share", 0.6, attributes="gender", group="woman")
    assert group_shares([a_reading("base", women)], "gender") is None
    assert group_shares([a_reading("base")], "tone") is None


def test_map_of_many_methods_is_split_evenly():
    readings = [shares_of(f"m{place}", one=0.1) for place in range(COLUMNS + 2)]
    assert [panel.heading for panel in cell_map(readings, JOINT).panels] == ["1 to 7", "8 to 14"]


def test_one_attribute_has_no_map():
    assert cell_map([a_reading("base", *tones(0.7, 0.25, 0.05))], "tone") is None


def test_every_group_has_a_panel_with_its_target():
    reading = a_reading("base", *group_rows())
    figure = group_shares([reading], "tone")
    assert figure.title == "Rarest skin tone, dark (target 33.3%): 7.1%"
    assert [panel.heading for panel in figure.panels] == [
        f"{name}, target 33.3%" for name in ("Light", "Medium", "Dark")
    ]
    assert "Share perceived as dark, target 33.3%: base 0.071" in figure.panels[2].image
    assert group_shares([reading], "gender") is None, "two groups are one number"


def test_cell_is_off_target_only_if_its_whole_interval_is():
    rows = [
        an_estimate("share", 0.1, low=low, high=high) for low, high in ((0.0, 0.08), (0.05, 0.2), (0.09, 0.2))
    ]
    assert [side(row, 1 / 12) for row in rows] == ["below", "", "above"]
    assert side(an_estimate("share", NAN, low=NAN, high=NAN), 0.1) == side(None, 0.1) == ""


def test_heat_map_counts_cells_that_are_clearly_off_target():
    readings = [shares_of("base", one=0.5, two=0.01, three=0.083), shares_of("mist", one=0.09, two=0.08)]
    figure = cell_map(readings, JOINT)
    assert (
        figure.title
        == "Cells of gender × skin tone × age clearly off target, out of 3: 2 for the baseline, 0 with mist"
    )
    (panel,) = figure.panels
    assert "base 1 below and 1 above, mist 0 below and 0 above" in panel.image
    assert [cell.text for cell in figure.table.rows[0].cells] == ["woman × light × adult", "6.00", "1.08"]
    assert [(number, label) for number, _, label in figure.key] == [("1", "base"), ("2", "mist")]
