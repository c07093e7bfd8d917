"""What a stranger's file does to a parser stays in the process that reads it."""

import ctypes
import os
import time

import pytest
from helpers.paths import TESTS

from evenhand.bench.parsing import isolated as module
from evenhand.bench.parsing.isolated import ROOM, apart


@pytest.fixture(autouse=True)
def tests_are_importable(monkeypatch):
    """The other process knows the functions of this file."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    module._process.stop()
    yield
    module._process.stop()


def number(data=b""):
    return str(os.getpid()).encode()


def abort(data=b""):
    ctypes.CDLL(None).abort()
    return b""


def take_memory(data=b""):
    return bytes(2 * ROOM)


def turned(data, by):
    return data[::-1] * by


def find_fault(data=b""):
    raise ValueError("it is torn")


def never_end(data=b""):
    time.sleep(3600)
    return b""


def test_it_is_another_process_and_stays_the_same_one():
    assert apart(number) == apart(number) != number()


def test_a_file_with_any_bytes_and_its_settings_arrive():
    data = bytes(range(256)) * 1000
    assert apart(turned, data, by=2) == turned(data, by=2)


@pytest.mark.parametrize(
    ("function", "words"),
    [(abort, "breaks the reader"), (take_memory, "of memory"), (find_fault, "^it is torn$")],
)
def test_what_goes_wrong_there_is_a_clause_and_the_next_file_is_read(function, words):
    with pytest.raises(ValueError, match=words):
        apart(function)
    assert apart(number)


def test_a_file_that_does_not_end_is_given_up(monkeypatch):
    with monkeypatch.context() as soon, pytest.raises(ValueError, match="takes more than"):
        soon.setattr(module, "SECONDS", 0.5)
        apart(never_end)
    assert apart(number)
