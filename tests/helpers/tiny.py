"""Finished runs of the tiny suite, made once for all workers."""

from __future__ import annotations

from pathlib import Path

from helpers.paths import TINY
from helpers.shared import shared

from evenhand.bench import evaluate


def tiny_run(*methods: str) -> Path:
    """A finished run of these methods; must not be modified: a test that writes into it takes a copy."""
    name = "-".join(["tiny", *methods])
    return shared(name, lambda folder: evaluate(str(TINY), methods=methods, out=folder / "run")) / "run"
