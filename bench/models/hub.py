"""Whether models and weights that are not on this machine may be fetched: only where a user asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants

_VARIABLE = "HF_HUB_OFFLINE"
"""The hub's own switch; it is set in the environment too, for libraries and processes that start later."""


@contextmanager
def offline() -> Iterator[None]:
    """Within the context nothing is fetched, unless :func:`permit` allows it there."""
    switch, variable = constants.HF_HUB_OFFLINE, os.environ.get(_VARIABLE)
    _set(True)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = switch
        if variable is None:
            os.environ.pop(_VARIABLE, None)
        else:
            os.environ[_VARIABLE] = variable


def permit(asked: bool) -> None:
    """Until the end of :func:`offline`, let the hub be reached if the user asked for it."""
    if asked:
        _set(False)


def _set(shut: bool) -> None:
    # A session of the hub is made at its first use, and the libraries read the switch when they are imported.
    constants.HF_HUB_OFFLINE = shut
    os.environ[_VARIABLE] = str(int(shut))
