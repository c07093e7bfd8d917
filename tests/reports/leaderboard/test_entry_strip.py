"""The images in an entry, on the page of its method, below those of the baseline."""

import numpy as np
import pytest
from helpers.report import parsed
from helpers.site import a_board

from evenhand.bench.results.entry import EntryImage
from evenhand.reports.leaderboard.entry_strip import entry_strip
from evenhand.reports.leaderboard.site import render_site


def images(*, count=3):
    pixels = np.full((64, 64, 3), 200, dtype=np.uint8)
    kinds = ["neutral"] * (count - 1) + ["explicit"]
    return [
        EntryImage(f"a photo of a <b>nurse</b> {place}", kind, pixels) for place, kind in enumerate(kinds)
    ]


@pytest.mark.slow
def test_page_of_a_method_shows_the_images_of_its_entry_below_the_baseline():
    rows = [row for row in a_board() if row.label in ("base", "uce") and row.result.spec.suite_version == "1"]
    shown = {row.entry: images() for row in rows}
    site = render_site(rows, entries={}, images=shown)
    page = parsed(site["mini-quick-v1/uce.html"])
    alts = [image.attributes["alt"] for image in page.all("img")]
    assert [alt.split(":")[0] for alt in alts] == ["base"] * 3 + ["uce"] * 3
    assert alts[3] == "uce: a photo of a <b>nurse</b> 0" and "<b>nurse" not in site["mini-quick-v1/uce.html"]
    assert page.by_id("images")
    assert len(parsed(site["mini-quick-v1/base.html"]).all("img")) == 3


def test_entry_without_images_shows_none_even_if_the_baseline_has_some():
    lines = [("base", "base@one"), ("uce", "uce@one")]
    assert entry_strip(lines, {"base@one": images()}) is None
    assert entry_strip(lines, {}) is None
    alone = entry_strip(lines, {"uce@one": images()})
    assert alone is not None and [label for label, _ in alone.lines] == ["uce"]
