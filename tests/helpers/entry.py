"""A small registered suite, its run and its entries, created once for the tests of leaderboard entries."""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, get_args

from helpers.shared import shared

from evenhand.bench import evaluate
from evenhand.bench.leaderboard.entries import load_entry
from evenhand.bench.leaderboard.submit import submit
from evenhand.bench.leaderboard.suite import KnownSuite, known_suite
from evenhand.bench.leaderboard.tables import Tables, files_of, read_tables
from evenhand.bench.results.entry import EntryFile
from evenhand.bench.suites.suite import Suite, load_suite
from evenhand.bench.suites.toml_text import to_toml

METHODS = ("base", "mist", "random-attribute-prompt")
MODULE = "evenhand_small_suite"


def small_suite() -> Suite:
    """``mini-quick`` with a few images for everything that the leaderboard measures."""
    quick = load_suite("mini-quick")
    concepts = ("nurse", "CEO", "teacher", "mechanic")
    uses = []
    for use in quick.prompts:
        changes: dict[str, Any] = {"seeds": min(use.seeds, 2), "limit": 12}
        if use.name == "winobias-40":
            changes = {"seeds": 4, "concepts": concepts, "templates": ("photo",)}
        uses.append(use.model_copy(update=changes))
    changes = {
        "name": "small",
        "version": "1",
        "prompts": tuple(uses),
        # A quarter of the model's own size: nothing here depends on what the images show.
        "protocol": quick.protocol.model_copy(
            update={"version": "small-1", "steps": 2, "width": 32, "height": 32}
        ),
        "bootstrap": quick.bootstrap.model_copy(update={"draws": 100}),
        "methods": {"mist": {**quick.methods["mist"], "images": 4, "rounds": 1}},
    }
    return Suite.model_validate(quick.model_copy(update=changes).model_dump(mode="json"))


@cache
def register() -> None:
    """Install the suite as a package would: an entry point in a folder on the path."""
    folder = Path(tempfile.mkdtemp(prefix="evenhand-suite-"))
    (folder / f"{MODULE}.toml").write_text(to_toml(small_suite().model_dump(mode="json")))
    (folder / f"{MODULE}.py").write_text("SMALL = __file__.removesuffix('.py') + '.toml'\n")
    about = folder / f"{MODULE}-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {MODULE}\nVersion: 1\n")
    (about / "entry_points.txt").write_text(f"[evenhand.suites]\nsmall = {MODULE}:SMALL\n")
    sys.path.append(str(folder))
    importlib.invalidate_caches()


def small_run() -> Path:
    """A finished run of the suite; must not be modified."""
    register()
    return shared("run", lambda folder: evaluate("small", methods=METHODS, out=folder / "small")) / "small"


def small_entries() -> Path:
    """The entries of the run; must not be modified."""
    run = small_run()
    return shared("entries", lambda folder: submit(run, folder))


def change(entry: Path, **changes: Any) -> None:
    """Change parts of ``entry.json``: ``change(entry, result__cost__images=3)``."""
    data = json.loads((entry / "entry.json").read_text())
    for place, value in changes.items():
        *path, last = place.split("__")
        inside = data
        for name in path:
            inside = inside[name]
        inside[last] = value(inside[last]) if callable(value) else value
    (entry / "entry.json").write_text(json.dumps(data))


def replace_file(entry: Path, name: str, data: bytes) -> None:
    """Replace a table and update its hash, as a deliberate forger would."""
    (entry / name).write_bytes(data)
    change(entry, **{f"files__{name}": hashlib.sha256(data).hexdigest()})


def without_files(entry: Path) -> None:
    """Remove the tables and images of an entry, so that only its numbers are left."""
    for name in get_args(EntryFile):
        (entry / name).unlink(missing_ok=True)
    change(entry, files={})


def tables(entry: Path) -> tuple[Tables, KnownSuite]:
    """The tables of an entry and its suite."""
    loaded = load_entry(entry)
    known = known_suite(loaded.result.spec)
    assert known is not None
    return read_tables(entry, loaded, known), known


def rewrite(entry: Path, edit: Callable[[Tables], Tables]) -> None:
    """Change the tables as a forger would, with matching hashes."""
    own, known = tables(entry)
    for name, data in files_of(edit(own), taxonomy=known.evaluation_config.taxonomy).items():
        replace_file(entry, name, data)
