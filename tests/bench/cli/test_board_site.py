"""``evenhand board build --site`` writes the pages of the board, with the images of a run on request."""

import hashlib
import json
import shutil

import pytest
from helpers.report import publish
from helpers.site import a_board
from helpers.tiny import tiny_run


@pytest.fixture(scope="module")
def submitted(evenhand_once, tmp_path_factory):
    """The folder of a tiny run and that of its entries."""
    folder = tmp_path_factory.mktemp("board")
    shutil.copytree(tiny_run("base", "random-attribute-prompt"), folder / "run")
    assert evenhand_once("board", "submit", folder / "run", "--entries", folder / "entries") == 0
    return folder


@pytest.fixture(scope="module")
def evenhand_once():
    """Run the command line in a fixture that outlives a test; returns the exit code."""
    from evenhand.bench.cli.main import main

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        return int(stop.value.code or 0)

    return call


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def build(evenhand, folder, entries, *more):
    return evenhand(
        "board", "build", "--entries", entries, "--out", folder / "board.md", "--site", folder / "site", *more
    )


@pytest.mark.slow
def test_building_a_site_with_run_images_twice_gives_the_same_bytes(evenhand, submitted, tmp_path):
    outcome = build(evenhand, tmp_path, submitted / "entries", "--run", submitted / "run")
    site = tmp_path / "site"
    assert (outcome.code, outcome.err) == (0, "")
    assert f"site: {site / 'index.html'}" in outcome.out
    first = contents(site)
    assert b"data:image/" in first["tiny-v1/random-attribute-prompt.html"]
    listed = json.loads(first["files.json"])
    assert set(listed) | {"files.json"} == set(first)
    assert all(hashlib.sha256(first[path]).hexdigest() == digest for path, digest in listed.items())
    assert build(evenhand, tmp_path, submitted / "entries", "--run", submitted / "run").code == 0
    assert contents(site) == first


@pytest.mark.slow
def test_rebuilding_removes_outdated_pages_and_keeps_other_files(evenhand, tmp_path):
    rows = [row.result for row in a_board() if row.result.spec.method.label in ("base", "uce")]
    entries = publish(tmp_path / "entries", [row for row in rows if row.spec.suite_version == "1"])
    assert build(evenhand, tmp_path, entries).code == 0
    site = tmp_path / "site"
    (site / "CNAME").write_text("board.example")
    shutil.rmtree(next(entries.glob("uce@*")))
    assert build(evenhand, tmp_path, entries).code == 0
    assert not (site / "example-v1/uce.html").exists()
    assert not (site / "entries/uce@example-v1/entry.json").exists()
    assert (site / "CNAME").read_text() == "board.example"


@pytest.mark.slow
def test_a_tampered_file_list_cannot_remove_files_outside_the_site(evenhand, tmp_path):
    entries = publish(tmp_path / "entries", [a_board()[0].result])
    assert build(evenhand, tmp_path, entries).code == 0
    kept = tmp_path / "kept.txt"
    kept.write_text("mine")
    (tmp_path / "site/files.json").write_text(json.dumps({"../kept.txt": "", str(kept): ""}))
    assert build(evenhand, tmp_path, entries).code == 0
    assert kept.read_text() == "mine"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--check"], "drop one of them"),
        (["--run", "nowhere"], "nowhere"),
    ],
)
def test_incompatible_options_are_a_one_line_error(evenhand, tmp_path, more, reason):
    entries = publish(tmp_path / "entries", [a_board()[0].result])
    outcome = build(evenhand, tmp_path, entries, *more)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert reason in outcome.err
    assert not (tmp_path / "site").exists()


def test_runs_without_a_site_are_an_error(evenhand, tmp_path):
    outcome = evenhand("board", "build", "--out", tmp_path / "board.md", "--run", "runs/mini")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "needs --site" in outcome.err
    assert not (tmp_path / "board.md").exists()


def test_a_folder_with_other_files_is_not_changed(evenhand, tmp_path):
    entries = publish(tmp_path / "entries", [a_board()[0].result])
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").write_text("my home page")
    outcome = build(evenhand, tmp_path, entries)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "not a site of the leaderboard" in outcome.err
    assert contents(tmp_path / "site") == {"index.html": b"my home page"}
