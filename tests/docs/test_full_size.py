"""The messages on the page about full-size models are those of the commands, on a machine without weights."""

import re

import pytest
from helpers.documents import blocks
from helpers.hub_cache import use_cache
from helpers.paths import ROOT

PAGE = ROOT / "docs" / "full-size.md"
PLACE = re.compile(r"[\d.]+ GB are free in \S+|this machine has [\d.]+ GB")
"""What differs between machines."""


def shown(first):
    """The lines of the block of the page that starts like this."""
    (block,) = [b for b in blocks(PAGE) if b.language == "text" and b.text.startswith(first)]
    return [PLACE.sub("", line) for line in block.text.strip().splitlines()]


@pytest.fixture(autouse=True)
def machine_without_weights(tmp_path, monkeypatch, disk_with_room):
    use_cache(monkeypatch, tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.slow
def test_doctor_lists_what_is_missing_as_the_page_shows(evenhand):
    outcome = evenhand("doctor", "winobias-gender")
    assert outcome.code == 2
    found = PLACE.sub("", outcome.out + outcome.err).splitlines()
    page = shown("FAULT  model")
    assert [line for line in found if line in page] == page
    assert sum(line.startswith("FAULT") for line in found) == sum(line.startswith("FAULT") for line in page)
    memory = PLACE.sub("", evenhand("doctor", "mini-quick").out).splitlines()
    assert {*shown("ok  memory")} <= {*memory}


def test_dry_run_plans_the_run_as_the_page_shows(evenhand):
    outcome = evenhand("run", "winobias-gender", "--dry-run")
    assert outcome.code == 0
    page = shown("images:")
    assert outcome.out.splitlines()[-len(page) :] == page
