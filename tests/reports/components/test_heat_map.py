"""The heat map: its colours, its triangles, and what it leaves out."""

import re

from helpers.report import NAN

from evenhand.reports.components.heat_map import COLOURS, Tile, colour, heat


def drawn(*tiles):
    return str(heat(tiles, name="map", label='cells "off" target'))


def test_colours_change_at_the_steps_of_the_legend():
    ratios = [0.1, 0.25, 0.5, 0.8, 1.25, 2.0, 4.0]
    assert [colour(ratio) for ratio in ratios] == list(COLOURS)
    assert colour(1.0) == COLOURS[3] and colour(0.79999) == COLOURS[2]


def test_tile_that_was_not_measured_is_left_out_but_keeps_its_line():
    svg = drawn(Tile("woman", "1", 5.0, ""), Tile("man", "1", NAN, ""))
    assert svg.count(COLOURS[-1]) == 1 and "NaN" not in svg
    assert ">woman<" in svg and ">man<" in svg


def test_clear_deviation_has_a_triangle_that_is_white_on_the_darkest_tiles():
    plain = drawn(Tile("woman", "1", 5.0, ""))
    dark, light = drawn(Tile("woman", "1", 5.0, "above")), drawn(Tile("woman", "1", 1.5, "above"))
    assert len(re.findall("<path", dark)) == len(re.findall("<path", plain)) + 1
    assert dark.count("#ffffff") == light.count("#ffffff") + 1


def test_map_is_a_labelled_image_that_says_of_every_tile_what_it_shows():
    svg = drawn(Tile("<b>", "1", 1.0, "", tip="8.3% (7% to 9%)"))
    assert svg.startswith('<svg class="chart" role="img" aria-label="cells &#34;off&#34; target"')
    assert "8.3% (7% to 9%)" in svg and "<b>" not in svg
