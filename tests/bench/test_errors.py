"""Messages of errors: one printable line of bounded length."""

import pytest

from evenhand.bench.errors import LONGEST, EvenhandError, IncompleteRunError, one_line, some_of, unknown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ✓ text", "plain ✓ text"),
        ("two\nlines\r\nand more", "two lines and more"),
        ("red\x1b[31m", "red\\x1b[31m"),
        ("turned\u202eround", "turned\\u202eround"),
        ("a\tb", "a\\tb"),
    ],
)
def test_a_message_is_one_printable_line(text, shown):
    assert str(EvenhandError(text)) == one_line(text) == shown


def test_a_long_message_keeps_its_beginning_and_its_end():
    shown = one_line("start " + "x" * 5000 + " do this")
    assert len(shown) <= LONGEST
    assert shown.startswith("start x") and shown.endswith("x do this") and " … " in shown
    assert one_line("x" * LONGEST) == "x" * LONGEST


def test_many_names_are_counted():
    assert [some_of("abcde"[:n]) for n in (1, 3, 4)] == ["a", "a, b, c", "a, b, c and 1 more"]


def test_an_unknown_name_suggests_the_nearest_or_lists_all():
    known = ("mist", "uce", "time")
    assert str(unknown("method", "mits", known)) == "unknown method 'mits'; did you mean 'mist'?"
    assert str(unknown("method", "gpt", known)) == "unknown method 'gpt'; known: mist, time, uce"
    assert str(unknown("method", "gpt", ())) == "unknown method 'gpt'; known: none"


def test_an_incomplete_run_has_its_own_exit_code():
    assert (EvenhandError("no").exit_code, IncompleteRunError("no").exit_code) == (2, 3)


def test_a_name_that_is_known_twice_is_listed_once():
    assert str(unknown("suite", "xyz", ["mini", "other", "mini"])).endswith("known: mini, other")
