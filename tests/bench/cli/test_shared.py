"""What several commands share: examples in the help, and the path of the report."""

import webbrowser
from pathlib import Path

import pytest

from evenhand.bench.cli.shared import examples, finish
from evenhand.bench.errors import EvenhandError


def test_examples_are_one_per_line_and_not_wrapped():
    assert examples("evenhand run a", "evenhand run b") == "\b\nExamples:\n  evenhand run a\n  evenhand run b"


@pytest.fixture
def opened(monkeypatch):
    """The addresses that a browser was asked to open."""
    found = []
    monkeypatch.setattr(webbrowser, "open", lambda address: found.append(address) or True)
    return found


def test_the_path_is_printed_and_opened_only_if_asked(opened, tmp_path, capsys):
    finish(tmp_path / "report.html", quiet=False, open_report=False)
    assert capsys.readouterr().out == f"report: {tmp_path / 'report.html'}\n" and opened == []
    finish(tmp_path / "report.html", quiet=True, open_report=True)
    assert capsys.readouterr().out == "" and opened == [(tmp_path / "report.html").as_uri()]


def test_a_relative_path_is_opened_as_an_absolute_one(opened, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    finish(Path("a b.html"), quiet=True, open_report=True)
    assert opened == [f"{tmp_path.as_uri()}/a%20b.html"]


def test_a_machine_without_a_browser_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    with pytest.raises(EvenhandError, match=r"no browser was found; open .*report\.html yourself"):
        finish(tmp_path / "report.html", quiet=True, open_report=True)
