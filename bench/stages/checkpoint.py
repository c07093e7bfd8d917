"""The state of an interrupted fit on disk: the training, and what the fit has cost so far."""

from __future__ import annotations

import io
import logging
import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from evenhand.bench.storage.files import write_atomically

_log = logging.getLogger(__name__)

SECONDS = 60.0
"""Time between two states; an interrupted fit repeats at most this much, plus one step."""


@dataclass
class FitCheckpoint:
    """Stores the state of a fit in one file.

    Attributes:
        path: The file.
        identity: What the fit depends on; a state of another fit is not loaded.
        costs: The costs of the fit so far.
        resume: Receives the stored costs when a state is loaded, because the steps that led to it are part of
            the cost of the method.
    """

    path: Path
    identity: str
    costs: Callable[[], Mapping[str, int]]
    resume: Callable[[Mapping[str, int]], None]
    _saved: float = field(default_factory=time.monotonic)

    def due(self) -> bool:
        """Whether the last state is older than :data:`SECONDS`."""
        return time.monotonic() - self._saved >= SECONDS

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the stored state."""
        data = io.BytesIO()
        torch.save({"fit": self.identity, "costs": dict(self.costs()), "state": dict(state)}, data)
        write_atomically(self.path, data.getvalue())
        self._saved = time.monotonic()

    def load(self) -> Mapping[str, Any] | None:
        """The stored state; ``None`` if there is none of this fit, or it cannot be read."""
        try:
            found = torch.load(self.path, map_location="cpu", weights_only=True)
            if found["fit"] != self.identity:
                return None
            state: Mapping[str, Any] = found["state"]
            self.resume(found["costs"])
            return state
        except FileNotFoundError:
            return None
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            EOFError,
            RuntimeError,
            pickle.UnpicklingError,
        ) as fault:
            _log.warning("%s: the interrupted fit cannot be resumed, fitting again (%s)", self.path, fault)
            return None

    def remove(self) -> None:
        """Delete the stored state, because the fit is complete."""
        self.path.unlink(missing_ok=True)
