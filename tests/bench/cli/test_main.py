"""The command line as a whole: help, version, and what it makes of an error."""

import errno
import io
import os
import signal
import sys
from importlib.metadata import version

import pytest

from evenhand.bench import catalog
from evenhand.bench.cli import main as cli
from evenhand.bench.errors import EvenhandError


def test_an_internal_error_keeps_its_traceback(monkeypatch):
    def broken(name: str):
        raise RuntimeError("a bug")

    monkeypatch.setattr(catalog, "find", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main(["show", "mist"])


def raising(monkeypatch, fault):
    """Makes ``evenhand show`` fail with ``fault``."""

    def broken(name: str):
        raise fault

    monkeypatch.setattr(catalog, "find", broken)


def test_version_is_that_of_the_package(evenhand):
    outcome = evenhand("--version")
    assert (outcome.code, outcome.out) == (0, f"evenhand {version('evenhand')}\n")


def test_without_a_command_the_help_is_shown(evenhand):
    outcome = evenhand()
    assert outcome.code == 0 and "Usage: evenhand" in outcome.out and "annotate" in outcome.out


@pytest.mark.parametrize(
    ("fault", "code", "line"),
    [
        (EvenhandError("unknown method\n  'x'"), 2, "unknown method 'x'"),
        (KeyboardInterrupt(), 130, "interrupted; run the same command again to resume"),
        (
            MemoryError("8 GiB"),
            2,
            "out of memory (8 GiB); use smaller images, batches or parameters, or more memory",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "run/x.json"),
            2,
            "run/x.json: Permission denied; check the path, or choose another folder",
        ),
        (
            RuntimeError(f"I/O error: {os.strerror(errno.ENOSPC)} (os error 28)"),
            2,
            "disk is full: cannot write a file; free space and run the same command again to resume",
        ),
    ],
    ids=["user", "Ctrl-C", "memory", "file", "full disk of another library"],
)
def test_error_is_one_line_and_an_exit_code(evenhand, monkeypatch, fault, code, line):
    raising(monkeypatch, fault)
    outcome = evenhand("show", "mist")
    assert (outcome.code, outcome.out, outcome.err) == (code, "", f"evenhand: {line}\n")


def test_sigterm_is_like_ctrl_c_and_is_left_as_it_was(evenhand, monkeypatch):
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(catalog, "find", lambda _name: signal.raise_signal(signal.SIGTERM))
    outcome = evenhand("show", "mist")
    assert (outcome.code, outcome.out) == (130, "")
    assert outcome.err == "evenhand: interrupted; run the same command again to resume\n"
    assert signal.getsignal(signal.SIGTERM) is handler


def test_wrong_usage_names_the_help_of_its_command(evenhand):
    outcome = evenhand("show")
    assert outcome.code == 2 and outcome.err.endswith("; see evenhand show --help\n")
    assert outcome.err.count("\n") == 1


def test_a_terminal_without_a_character_shows_another(monkeypatch):
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding="latin-1", write_through=True))
    monkeypatch.setattr(catalog, "find", lambda name: {"title": "a → b"})
    with pytest.raises(SystemExit) as end:
        cli.main(["show", "mist", "--json"])
    assert not end.value.code and b"a ? b" in buffer.getvalue()
