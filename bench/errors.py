"""The base class of all errors for users. This module imports nothing, so every package may use it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

LONGEST = 1000
"""Maximum length of a message, in characters."""


class EvenhandError(Exception):
    """An error that the user can fix; the message says in one line where, what is wrong and what to do.

    The CLI prints only the message and exits with ``exit_code``. Messages may quote untrusted files, so
    line breaks, terminal controls and direction marks are escaped, and the middle of an overlong message is
    left out.

    Args:
        message: The message.
    """

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class MachineError(EvenhandError):
    """Something is wrong with this machine, not with what was asked for; repeat the call once it is fixed."""


class NotInstalledError(MachineError):
    """Weights or a package are not on this machine; what is there but damaged raises another error."""


class MethodError(EvenhandError):
    """A method fails with its parameters; it may work with others."""


class IncompleteRunError(EvenhandError):
    """Some planned images could not be generated, read or judged; repeating the run resumes it."""

    exit_code = 3


def one_line(text: str) -> str:
    """The text as one printable line of bounded length; other characters are escaped."""
    if not text.isprintable():
        text = " ".join(text.splitlines())
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if len(text) <= LONGEST:
        return text
    # Keep the end: it says what to do.
    return f"{text[: LONGEST * 2 // 3]} … {text[-LONGEST // 4 :]}"


def some_of(names: Sequence[str]) -> str:
    """The first three names, and how many more there are; all names might fill screens."""
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")


def unknown(kind: str, name: str, known: Iterable[str]) -> EvenhandError:
    """The error for an unknown name; suggests the closest known name.

    Args:
        kind: What was looked up, for example ``"method"``.
        name: The unknown name.
        known: The names that exist.
    """
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    remedy = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"
    return EvenhandError(f"unknown {kind} {name!r}; {remedy}")
