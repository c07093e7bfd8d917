"""``evenhand board`` checks published entries and builds the leaderboard from them."""

import shutil

import pytest
from helpers.paths import TINY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def submitted(tmp_path_factory):
    """A folder with the entries of a tiny run."""
    from evenhand.bench import evaluate
    from evenhand.bench.leaderboard.submit import submit

    folder = tmp_path_factory.mktemp("board")
    evaluate(str(TINY), methods=["base", "random-attribute-prompt"], out=folder / "run")
    submit(folder / "run", folder / "entries")
    return folder / "entries"


def test_valid_entries_are_counted(evenhand, submitted):
    outcome = evenhand("board", "check", "--entries", submitted)
    assert (outcome.code, outcome.out) == (0, f"2 entries in {submitted} are valid: 2 reported\n")


def test_an_invalid_entry_is_a_one_line_error(evenhand, submitted, tmp_path):
    entries = shutil.copytree(submitted, tmp_path / "entries")
    broken = next(entries.glob("random*/entry.json"))
    broken.write_text(broken.read_text()[:-20])
    for command in ("check", "build"):
        outcome = evenhand("board", command, "--entries", entries)
        assert (outcome.code, outcome.out) == (2, "")
        assert broken.parent.name in outcome.err
        assert outcome.err.count("\n") == 1


def test_the_board_is_up_to_date_until_an_entry_changes(evenhand, submitted, tmp_path):
    entries, out = shutil.copytree(submitted, tmp_path / "entries"), tmp_path / "leaderboard.md"
    arguments = ("board", "build", "--entries", entries, "--out", out)
    assert evenhand(*arguments).code == 0
    assert "random-attribute-prompt" in out.read_text()
    assert evenhand(*arguments, "--check").code == 0
    shutil.rmtree(next(entries.glob("random*")))
    outcome = evenhand(*arguments, "--check")
    assert outcome.code == 2
    assert "run `evenhand board build` and commit it" in outcome.err
    assert "random-attribute-prompt" in out.read_text()
