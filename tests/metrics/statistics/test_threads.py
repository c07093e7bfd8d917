"""Computations on several threads."""

import threading

import pytest

from evenhand.metrics.statistics.threads import in_threads


def test_results_come_in_the_order_of_the_tasks_whichever_ends_first():
    later = threading.Event()

    def first():
        # On one core there is one thread, and the first task runs alone.
        later.wait(timeout=0.05)
        return "first"

    def second():
        later.set()
        return "second"

    assert list(in_threads([first, second])) == ["first", "second"]


def test_no_task_gives_no_result():
    assert list(in_threads([])) == []


def test_the_error_of_a_task_is_raised_after_the_results_before_it():
    def fail():
        raise ValueError("no")

    found = in_threads([lambda: 1, fail])
    assert next(found) == 1
    with pytest.raises(ValueError, match=r"^no$"):
        next(found)
