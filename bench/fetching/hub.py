"""Controls whether models and weights may be downloaded; only if the user asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants

_VARIABLE = "HF_HUB_OFFLINE"
"""The variable of the hub library; set in the environment too, for libraries and processes that start
later."""


@contextmanager
def offline() -> Iterator[None]:
    """Disable downloads within the context, unless :func:`permit` enables them."""
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


def permit(online: bool) -> None:
    """Enable downloads until the end of :func:`offline` if ``online``."""
    if online:
        _set(False)


def _set(is_offline: bool) -> None:
    # Set both: the hub library reads the constant, libraries imported later read the variable.
    constants.HF_HUB_OFFLINE = is_offline
    os.environ[_VARIABLE] = str(int(is_offline))
