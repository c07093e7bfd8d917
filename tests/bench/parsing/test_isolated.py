"""What a stranger's file does to a parser stays in the process that reads it."""

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


def test_it_is_another_process_and_stays_the_same_one():
    assert run_isolated(number) == run_isolated(number) != number()


def test_a_file_with_any_bytes_and_its_settings_arrive():
    data = bytes(range(256)) * 1000
    assert run_isolated(turned, data, by=2) == turned(data, by=2)


@pytest.mark.parametrize(
    ("function", "words"),
    [(abort, "crashes the reader"), (take_memory, "of memory"), (find_fault, "^it is torn$")],
)
def test_what_goes_wrong_there_is_a_clause_and_the_next_file_is_read(function, words):
    with pytest.raises(ValueError, match=words):
        run_isolated(function)
    assert run_isolated(number)


def test_reading_a_file_times_out(monkeypatch):
    with monkeypatch.context() as soon, pytest.raises(ValueError, match="takes more than"):
        soon.setattr(module, "MAX_SECONDS", 0.5)
        run_isolated(never_end)
    assert run_isolated(number)
