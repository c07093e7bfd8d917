"""The one exception base of Evenhand. It imports nothing, so every room may use it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EvenhandError(Exception):
    """A fault the user can mend; the message names the thing, its value and the remedy in one line.

    The CLI prints the message alone and exits with ``exit_code``.
    """

    exit_code = 2


class IncompleteRunError(EvenhandError):
    """The run stopped before every planned picture was made and judged; running it again goes on."""

    exit_code = 3


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
