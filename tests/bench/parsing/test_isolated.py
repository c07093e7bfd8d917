"""Failures of a parser on an untrusted file stay in the process that reads it."""

import pytest
from helpers.isolated import abort, find_fault, never_end, number, take_memory, turned
from helpers.paths import TESTS

from evenhand.bench.parsing import isolated as module
from evenhand.bench.parsing.isolated import run_isolated


@pytest.fixture(autouse=True)
def tests_are_importable(monkeypatch):
    """The other process can import the functions of helpers.isolated."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    module._process.stop()
    yield
    module._process.stop()


def test_the_reader_is_a_separate_process_and_is_reused():
    assert run_isolated(number) == run_isolated(number) != number()


def test_arbitrary_bytes_and_keyword_arguments_are_passed_on():
    data = bytes(range(256)) * 1000
    assert run_isolated(turned, data, by=2) == turned(data, by=2)


@pytest.mark.parametrize(
    ("function", "words"),
    [(abort, "crashes the reader"), (take_memory, "of memory"), (find_fault, "^it is torn$")],
)
def test_a_failure_in_the_reader_is_an_error_and_the_next_file_is_read(function, words):
    with pytest.raises(ValueError, match=words):
        run_isolated(function)
    assert run_isolated(number)


def test_reading_a_file_times_out(monkeypatch):
    with monkeypatch.context() as soon, pytest.raises(ValueError, match="takes more than"):
        soon.setattr(module, "MAX_SECONDS", 0.5)
        run_isolated(never_end)
    assert run_isolated(number)


def test_after_an_interruption_the_next_file_gets_its_own_answer(monkeypatch):
    def interrupted(pipe):
        raise KeyboardInterrupt

    with monkeypatch.context() as early, pytest.raises(KeyboardInterrupt):
        early.setattr(module, "_receive", interrupted)
        run_isolated(turned, b"first", by=1)
    assert run_isolated(turned, b"second", by=1) == turned(b"second", by=1)
