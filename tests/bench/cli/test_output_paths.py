"""Commands write only into their output folder or the given run folder."""

import os
import re
import sys
import tempfile
from pathlib import Path

import pytest
from helpers.audit import renders, write_csv
from helpers.humans import a_run, an_annotator
from helpers.paths import TINY

CHANGES = {
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
}
"""Python audit events that change files, besides opening a file for writing."""

COMPILER = "torchinductor_"
"""Temporary folder that PyTorch creates when its compiler is imported; nothing is written into it."""

_watching: list[set[Path]] = []


def _hook(event, arguments):
    if not _watching:
        return
    if event == "open":
        path, mode, flags = arguments
        writes = set(mode or "") & set("wax+") or (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes and isinstance(path, str | bytes | os.PathLike):
            _watching[-1].add(Path(os.fsdecode(path)).absolute())
    elif event in ("os.remove", "os.rmdir") and arguments[1] != -1:
        return  # A name within an open folder, as in shutil.rmtree, which then removes the folder itself.
    elif event in CHANGES:
        paths = arguments[:2] if event == "os.rename" else arguments[:1]
        _watching[-1].update(
            Path(os.fsdecode(path)).absolute() for path in paths if not isinstance(path, int)
        )


sys.addaudithook(_hook)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory, a home directory and a folder for temporary files; all stay empty."""
    for name, variable in (("here", ""), ("home", "HOME"), ("temporary", "TMPDIR")):
        (tmp_path / name).mkdir()
        if variable:
            monkeypatch.setenv(variable, str(tmp_path / name))
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def is_passing(path):
    """Whether a library created it temporarily in the system's folder for temporary files."""
    top = Path(tempfile.gettempdir())
    first = path.relative_to(top).parts[0] if path.is_relative_to(top) and path != top else ""
    return COMPILER in first or (bool(re.fullmatch(r"tmp\w{8}", first)) and not path.exists())


def left_beside(place):
    """The files in the folders that must stay empty."""
    found = [path for name in ("here", "home", "temporary") for path in (place / name).rglob("*")]
    return [path for path in found if COMPILER not in path.name]


@pytest.fixture
def written(place, evenhand):
    """Runs a command; returns the files it wrote and checks that the other folders stay empty."""

    def call(*arguments):
        _watching.append(set())
        try:
            outcome = evenhand(*arguments)
        finally:
            found = _watching.pop()
        assert outcome.code == 0, outcome.err
        assert left_beside(place) == []
        return {path for path in found if path != Path(os.devnull) and not is_passing(path)}

    return call


def assert_within(paths, *folders):
    assert paths, "no write was recorded"
    assert [path for path in paths if not any(path.is_relative_to(folder) for folder in folders)] == []


@pytest.mark.slow
def test_run_report_compare_and_board_write_only_to_their_output_folders(written, place):
    out = place / "out" / "run"
    (place / "out").mkdir()
    assert_within(written("run", TINY, "--method", "eos-swap", "--out", out), out)
    assert_within(written("report", out), out)
    page = place / "comparison" / "page.html"
    page.parent.mkdir()
    assert_within(written("compare", f"{out}@base", f"{out}@eos-swap", "--out", page), page.parent)
    entries, board, site = place / "entries", place / "board" / "leaderboard.md", place / "site"
    assert_within(written("board", "submit", out, "--entries", entries), entries)
    before = {path: path.stat().st_mtime_ns for path in entries.rglob("*")}
    board.parent.mkdir()
    paths = written("board", "build", "--entries", entries, "--out", board, "--site", site)
    assert_within(paths, board.parent, site)
    assert {path: path.stat().st_mtime_ns for path in entries.rglob("*")} == before


@pytest.mark.slow
def test_an_audit_writes_only_to_its_output_folder(written, place):
    listed, _ = renders(place / "images")
    before = set((place / "images").rglob("*"))
    listing = write_csv(place / "list.csv", listed)
    out = place / "audit"
    paths = written("audit", place / "images", "--prompts", listing, "--judge", "vit", "--out", out)
    assert_within(paths, out)
    assert set((place / "images").rglob("*")) == before


@pytest.mark.slow
def test_annotate_writes_only_to_its_output_and_the_run_folder(written, place):
    import pandas as pd

    run, out = place / "run", place / "batch"
    truth = a_run(run)
    wanted = ("--n", 80, "--explicit", 0, "--min-per-group", 3)
    assert_within(written("annotate", "export", run, "--out", out, *wanted), out, run / "annotation")
    (key,) = (run / "annotation").glob("*.csv")
    drawn = pd.read_csv(key, dtype=str, keep_default_na=False)
    an_annotator("ann", drawn, truth).to_csv(place / "ann.csv", index=False)
    paths = written("annotate", "import", place / "ann.csv", "--run", run)
    lock = {run, run / ".lock"}
    assert_within(paths - lock, run / "annotation", run / "tables")


def test_method_export_writes_only_to_its_output_folder(written, place):
    out = place / "exported"
    assert_within(written("method", "export", "eos-swap", "--suite", TINY, "--out", out), out)


def test_libraries_store_and_send_no_user_data(place):
    import subprocess

    code = "import evenhand.bench.errors, onnxruntime, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    blank = {"HOME": str(place / "home"), "TMPDIR": str(place / "temporary"), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], env=blank, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"
    assert left_beside(place) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [("list", "judges"), ("show", "mini"), ("doctor",), ("run", TINY, "--dry-run")]
)
def test_read_only_commands_write_nothing(written, command):
    assert written(*command) == set()
