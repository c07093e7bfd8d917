"""The one exception base of Evenhand. It imports nothing, so every room may use it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 1000
"""Longest message, in letters."""


class EvenhandError(Exception):
    """A fault the user can mend; the message names the thing, its value and the remedy in one line.

    The CLI prints the message alone and exits with ``exit_code``. Messages quote files of strangers, so what
    would break the line, move a terminal's cursor or turn the text around is written as its escape, and of a
    message that is too long the middle is left out.

    Args:
        message: The message.
    """

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class IncompleteRunError(EvenhandError):
    """The run stopped before every planned image was made and judged; running it again goes on."""

    exit_code = 3


def one_line(text: str) -> str:
    """The text as one printable line of bounded length: other signs are written as escapes."""
    if not text.isprintable():
        text = " ".join(text.splitlines())
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if len(text) <= LONGEST:
        return text
    # The remedy is at the end.
    return f"{text[: LONGEST * 2 // 3]} … {text[-LONGEST // 4 :]}"


def unknown(kind: str, name: str, known: Iterable[str]) -> EvenhandError:
    """The error for a name that is not registered, with the nearest known name as the remedy.

    Args:
        kind: What was looked up, for example ``"method"``.
        name: The unknown name.
        known: The names that exist.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    remedy = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"
    return EvenhandError(f"unknown {kind} {name!r}; {remedy}")
