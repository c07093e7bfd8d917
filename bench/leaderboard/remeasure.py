"""Computes the numbers of entries again from their tables, after the measurement has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.entries import VERIFICATION_FILE, read_entries
from evenhand.bench.leaderboard.measure import measured
from evenhand.bench.leaderboard.suite import known_suite
from evenhand.bench.leaderboard.tables import Tables, read_tables
from evenhand.bench.results.entry import ENTRY_FILE, Entry, version_key
from evenhand.bench.results.result import BASE
from evenhand.bench.storage.files import write_atomically


def remeasure(folder: Path, *, report: Callable[[str], None] = lambda line: None) -> list[Path]:
    """Write every entry that has tables again, with the numbers that this version computes from them.

    Images and labels stay as they are. A verification compared those, so it stays valid and is moved to the
    new text of its entry.

    Args:
        folder: Folder of the entries.
        report: Called with one line for each entry.

    Returns:
        The folders of the entries whose text changed.

    Raises:
        EvenhandError: An entry cannot be read, its suite is not registered, or its baseline has no tables.
    """
    loaded, faults = read_entries(folder)
    if faults:
        raise faults[0]
    bases: dict[str, tuple[Entry, Tables]] = {}
    changed = []
    # The baselines first, because all others are measured together with them.
    for path in sorted(loaded, key=lambda path: (loaded[path].result.spec.method.name != BASE, path)):
        entry = loaded[path]
        if not entry.files:
            report(f"{path.name}: has no tables; its numbers stay as reported")
            continue
        known = known_suite(entry.result.spec)
        if known is None:
            raise EvenhandError(f"{path.name}: its suite is not registered here; install it")
        known = known.of(entry.result)
        tables, key = read_tables(path, entry, known), version_key(entry.result)
        if entry.result.spec.method.name == BASE:
            bases[key] = entry, tables
        if key not in bases:
            raise EvenhandError(f"{path.name}: its baseline has no tables; submit the complete run")
        base, base_tables = bases[key]
        own = base_tables if entry is base else tables
        resampled = known.evaluation_config.bootstrap.resampled
        spec = entry.result.spec.model_copy(update={"resampled": resampled})
        result = entry.result.model_copy(update={"spec": spec})
        label = base.result.spec.method.label
        new = measured(result, own, base_tables, base_label=label, known=known)
        if _write(path, entry.model_copy(update={"result": new})):
            changed.append(path)
            report(f"{path.name}: measured again")
    return changed


def _write(path: Path, entry: Entry) -> bool:
    """Write an entry and move its verification to the new text; whether the text changed."""
    text, file = entry.to_json().encode(), path / ENTRY_FILE
    if file.read_bytes() == text:
        return False
    verification = path / VERIFICATION_FILE
    write_atomically(file, text)
    if verification.is_file():
        found = json.loads(verification.read_text(encoding="utf-8"))
        found["entry"] = hashlib.sha256(text).hexdigest()
        write_atomically(verification, (json.dumps(found, indent=1) + "\n").encode())
    return True
