"""``evenhand board`` checks published entries and builds the leaderboard from them."""

import shutil

import pytest
from helpers.tiny import tiny_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def submitted(tmp_path_factory):
    """A folder with the entries of a tiny run."""
    from evenhand.bench.leaderboard.submit import submit

    folder = tmp_path_factory.mktemp("board") / "entries"
    submit(tiny_run("base", "random-attribute-prompt"), folder)
    return folder


def test_valid_entries_are_counted(evenhand, submitted):
    outcome = evenhand("board", "check", "--entries", submitted)
    assert outcome.code == 0
    assert outcome.out.splitlines() == [
        "base@tiny-v1: reported",
        "random-attribute-prompt@tiny-v1: reported",
        f"2 entries in {submitted} are valid: 2 reported",
    ]


def test_options_of_a_verification_that_do_not_belong_together_are_one_line(evenhand, submitted):
    entry = next(submitted.glob("random*"))
    for arguments in (("--fresh",), ("--salt", "nowhere"), ("--fresh", "--salt", "nowhere", "--seed", "1")):
        outcome = evenhand("board", "verify", entry, *arguments)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1), outcome.err


def test_commitment_names_its_files_and_without_an_outcome_nothing_is_signed(
    evenhand, submitted, tmp_path, keys
):
    entries = shutil.copytree(submitted, tmp_path / "entries")
    entry = next(entries.glob("random*"))
    outcome = evenhand("board", "commit", entry, "--salt", tmp_path / "salt")
    assert outcome.code == 0 and f"commitment: {tmp_path / 'commitments'}" in outcome.out
    assert (tmp_path / "salt").read_text().strip() not in outcome.out
    outcome = evenhand("board", "sign", entry / "fresh.json", "--key", keys[0])
    assert outcome.code == 2 and "not an outcome" in outcome.err


def test_difference_of_the_board_is_printed(evenhand, submitted, tmp_path):
    entries = shutil.copytree(submitted, tmp_path / "entries")
    shutil.rmtree(next(entries.glob("random*")))
    outcome = evenhand("board", "diff", entries, "--entries", submitted)
    assert outcome.out.startswith("removed: random-attribute-prompt on tiny version 1")
    assert (
        evenhand("board", "diff", submitted, "--entries", submitted).out == "the submission changes no row\n"
    )


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
