"""The registry of methods, judges, metrics, suites and prompt sets: entry points, loaded on demand.

Built-ins and third-party packages register in the same way: a package that declares an entry point in one
of the groups below needs no change to Evenhand.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pathlib import Path
from typing import Any

from evenhand.bench.errors import EvenhandError, unknown


@dataclass(frozen=True)
class Registry:
    """The entry points of one group.

    Attributes:
        kind: What is registered, in the singular, for messages.
        group: Name of the entry-point group.
    """

    kind: str
    group: str

    def entries(self) -> dict[str, EntryPoint]:
        """Name to entry point, sorted by name.

        Raises:
            EvenhandError: Two packages register the same name.
        """
        found: dict[str, EntryPoint] = {}
        declared = _declared(self.group, tuple(map(_state, sys.path)))
        for entry in sorted(declared, key=lambda e: (e.name, e.value)):
            other = found.setdefault(entry.name, entry)
            if other.value != entry.value:
                raise EvenhandError(
                    f"{self.kind} {entry.name!r} is registered twice, as {other.value} and {entry.value}; "
                    "uninstall one of the two packages"
                )
        return found

    def names(self) -> list[str]:
        """All registered names, sorted; loads no package."""
        return list(self.entries())

    def get(self, name: str) -> Any:
        """The object registered under ``name``, loaded from its package.

        Raises:
            EvenhandError: The name is unknown (the nearest one is suggested) or its package fails to load.
        """
        entries = self.entries()
        if name not in entries:
            raise unknown(self.kind, name, entries)
        entry = entries[name]
        try:
            return entry.load()
        except Exception as fault:  # a plug-in may fail in any way; name the package
            package = entry.dist.name if entry.dist else "an unknown package"
            raise EvenhandError(
                f"{self.kind} {name!r} of package {package} fails to load from {entry.value}: "
                f"{type(fault).__name__}: {fault}"
            ) from fault


@lru_cache(maxsize=16)
def _declared(group: str, _: tuple[object, ...]) -> EntryPoints:
    """The entry points of a group: reading them takes milliseconds, and a run asks dozens of times."""
    return entry_points(group=group)


def _state(place: str) -> object:
    """What changes if a package is installed into a folder of the path or removed from it."""
    try:
        found = Path(place).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


METHODS = Registry("method", "evenhand.methods")
JUDGES = Registry("judge", "evenhand.judges")
METRICS = Registry("metric", "evenhand.metrics")
SUITES = Registry("suite", "evenhand.suites")
PROMPTS = Registry("prompt set", "evenhand.prompts")
