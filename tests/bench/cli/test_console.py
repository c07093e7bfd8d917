"""Output on a terminal and elsewhere."""

import json
import math
from pathlib import Path

import pytest

from evenhand.bench.cli.console import write_json, write_path


@pytest.fixture
def terminal(monkeypatch):
    """Standard output as a terminal that is 40 columns wide."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "40")


def test_a_path_is_a_link_on_a_terminal(terminal, tmp_path, capsys):
    path = tmp_path / "a folder with a name that is much longer than the line" / "report.html"
    write_path("report", path)
    out = capsys.readouterr().out
    assert f"{path.as_uri()}\x1b\\{path}\x1b]8;;\x1b\\" in out, "an OSC 8 hyperlink on one line"
    assert out.startswith("report: \x1b]8;") and out.endswith("\n")


def test_elsewhere_a_path_is_plain_text(tmp_path, capsys):
    write_path("report", tmp_path / "report.html")
    assert capsys.readouterr().out == f"report: {tmp_path / 'report.html'}\n"


def test_a_terminal_without_escapes_gets_plain_text(terminal, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("TERM", "dumb")
    write_path("report", tmp_path / "report.html")
    assert capsys.readouterr().out == f"report: {tmp_path / 'report.html'}\n"


def test_numbers_that_json_lacks_are_null(capsys):
    infinite = {"a": [math.inf, (-math.inf, 1.5)], "b": {"c": math.nan, "d": True}, "e": Path("x/y")}
    write_json(infinite)
    assert json.loads(capsys.readouterr().out) == {
        "a": [None, [None, 1.5]],
        "b": {"c": None, "d": True},
        "e": str(Path("x/y")),
    }
