"""Computes the numbers of entries again from their tables, after the measurement has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.entries import FRESH_FILE, VERIFICATION_FILE, read_entries
from evenhand.bench.leaderboard.measure import measured
from evenhand.bench.leaderboard.suite import KnownSuite, suite_of
from evenhand.bench.leaderboard.tables import Tables, read_tables
from evenhand.bench.leaderboard.verification.fresh import remeasured_fresh
from evenhand.bench.results.entry import ENTRY_FILE, Entry, version_key
from evenhand.bench.results.result import BASE
from evenhand.bench.storage.files import write_atomically
from evenhand.bench.storage.manifest import signature_of


def remeasure(folder: Path, *, report: Callable[[str], None] = lambda line: None) -> list[Path]:
    """Write every entry that has tables again, with the numbers that this version computes from them.

    Images and labels stay as they are. A verification compared those, so it stays valid: it is moved to the
    new text of its entry, and numbers on fresh noise are computed again. Their signatures are of the old
    text and are removed; a maintainer signs again.

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
        entry, key = loaded[path], version_key(loaded[path].result)
        if not entry.files:
            report(f"{path.name}: has no tables; its numbers stay as reported")
            continue
        known = suite_of(entry.result, name=path.name)
        new, tables = _again(path, entry, known, bases.get(key))
        if new.result.spec.method.name == BASE:
            bases[key] = new, tables
        if _write(path, new) | _write_fresh(path, new, bases[key][0], known):
            changed.append(path)
            report(f"{path.name}: measured again")
    return changed


def _again(
    path: Path, entry: Entry, known: KnownSuite, base: tuple[Entry, Tables] | None
) -> tuple[Entry, Tables]:
    """The entry with the numbers of this version, and its tables."""
    own = read_tables(path, entry, known)
    if entry.result.spec.method.name == BASE:
        base = entry, own
    if base is None:
        raise EvenhandError(f"{path.name}: its baseline has no tables; submit the complete run")
    resampled = known.evaluation_config.bootstrap.resampled
    spec = entry.result.spec.model_copy(update={"resampled": resampled})
    label = base[0].result.spec.method.label
    result = entry.result.model_copy(update={"spec": spec})
    new = measured(result, own, base[1], base_label=label, known=known)
    return entry.model_copy(update={"result": new}), own


def _write(path: Path, entry: Entry) -> bool:
    """Write an entry and move its verification to the new text; whether the text changed.

    The verification comes first: if this is interrupted, the next time repeats both.
    """
    text, file = entry.to_json().encode(), path / ENTRY_FILE
    if file.read_bytes() == text:
        return False
    verification = path / VERIFICATION_FILE
    if verification.is_file():
        found = json.loads(verification.read_text(encoding="utf-8"))
        found["entry"] = hashlib.sha256(text).hexdigest()
        signature_of(verification).unlink(missing_ok=True)
        write_atomically(verification, (json.dumps(found, indent=1) + "\n").encode())
    write_atomically(file, text)
    return True


def _write_fresh(path: Path, entry: Entry, base: Entry, known: KnownSuite) -> bool:
    """Compute the numbers on fresh noise again from their tables; whether they changed."""
    file = path / FRESH_FILE
    if not file.is_file():
        return False
    text = remeasured_fresh(path, entry=entry, base=base, known=known)
    if file.read_bytes() == text:
        return False
    signature_of(file).unlink(missing_ok=True)
    write_atomically(file, text)
    return True
