"""The published entries: folders that are checked before use, and what may stand in one ranking.

Entries are data: JSON and Parquet, of which no code is ever loaded. No name or path in an entry decides which
file is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evenhand.bench.errors import EvenhandError
from evenhand.bench.parsing.strict_json import read_json
from evenhand.bench.results.entry import ENTRY_FILE, Entry, entry_name, version_key
from evenhand.bench.results.result import SCHEMA_VERSION

VERIFICATION_FILE = "verification.json"
"""What `evenhand board verify` leaves beside it."""

MAX_ENTRY_BYTES = 2**20
"""Largest ``entry.json``: a published result has a fifth of it."""


def read_entries(folder: Path) -> tuple[dict[Path, Entry], list[EvenhandError]]:
    """The sound entries by their folders, in order, and what is wrong with the others.

    Raises:
        EvenhandError: The folder is missing.
    """
    if not folder.is_dir():
        raise EvenhandError(f"entries folder {folder} does not exist; name the folder of the entries")
    places: dict[tuple[str, str], Path] = {}
    loaded: dict[Path, Entry] = {}
    faults = []
    for path in sorted(folder.iterdir()):
        if path.name == "README.md":
            continue
        try:
            entry = load_entry(path)
            place = version_key(entry.result), entry.result.spec.method.label
            if (twin := places.setdefault(place, path)) != path:
                raise EvenhandError(f"entry {path} repeats {twin.name}; keep one of them")
        except EvenhandError as fault:
            faults.append(fault)
        else:
            loaded[path] = entry
    return loaded, faults


def load_entry(path: Path) -> Entry:
    """The entry in the folder ``path``; its tables are not looked at.

    Raises:
        EvenhandError: The folder is no entry, or its ``entry.json`` is not what the schema says.
    """
    _check_files(path)
    data = read_json(path / ENTRY_FILE, max_bytes=MAX_ENTRY_BYTES)
    result = data.get("result") if isinstance(data, dict) else None
    version = result.get("schema_version") if isinstance(result, dict) else None
    if version != SCHEMA_VERSION:
        raise EvenhandError(
            f"entry {path} has schema version {version!r:.40}; this is {SCHEMA_VERSION}, run the suite again"
        )
    try:
        # Strict: a count is a number, not a text that can be read as one.
        entry = Entry.model_validate(data, strict=True)
    except ValueError as fault:
        reason = " ".join(str(fault).split())
        raise EvenhandError(f"entry {path} is not valid: {reason:.400}; submit the run again") from fault
    if path.name != entry_name(entry.result):
        raise EvenhandError(f"entry {path} is misnamed; rename it to {entry_name(entry.result)}")
    found = {file.name for file in path.iterdir()} - {VERIFICATION_FILE}
    for name in sorted(found ^ {ENTRY_FILE, *entry.files}):
        if name in entry.files:
            raise EvenhandError(f"entry {path} lacks its file {name}; submit the run again")
        raise EvenhandError(f"entry {path} holds {name!r}, which its {ENTRY_FILE} does not list; remove it")
    return entry


def _check_files(path: Path) -> None:
    """Refuse what is no folder of plain files: links lead elsewhere, and a pipe never ends."""
    if path.is_symlink() or not path.is_dir():
        raise EvenhandError(f"{path} is no entry; an entry is a folder, as `evenhand board submit` writes it")
    for file in _strange(path):
        raise EvenhandError(f"entry {path} holds {file.name!r}, which is no plain file; remove it")
    if not (path / ENTRY_FILE).is_file():
        raise EvenhandError(f"entry {path} has no {ENTRY_FILE}; submit the run again")


def _strange(path: Path) -> Iterator[Path]:
    return (file for file in sorted(path.iterdir()) if file.is_symlink() or not file.is_file())
