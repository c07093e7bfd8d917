"""Reads the published entries.

Entries are untrusted data: JSON and Parquet, never code. Names and paths in an entry never decide which file
is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from evenhand.bench.errors import EvenhandError
from evenhand.bench.parsing.schema_words import in_words
from evenhand.bench.parsing.strict_json import read_json
from evenhand.bench.results.entry import ENTRY_FILE, Entry, entry_name, version_key
from evenhand.bench.results.fresh import FreshFile
from evenhand.bench.results.result import SCHEMA_VERSION
from evenhand.bench.storage.manifest import signature_of

VERIFICATION_FILE, FRESH_FILE = "verification.json", "fresh.json"
"""The files that `evenhand board verify` writes beside an entry, without and with ``--fresh``."""

FRESH_TABLES: tuple[FreshFile, ...] = get_args(FreshFile)
"""The tables beside ``fresh.json``, which lists them with their hashes."""

MAX_FRESH_BYTES = 2**22
"""Maximum size of ``fresh.json``, which has two results; those of suite ``mini`` have half a megabyte."""

MAX_ENTRY_BYTES = 2**20
"""Maximum size of ``entry.json``; published results have a fifth of it."""


def read_entries(folder: Path) -> tuple[dict[Path, Entry], list[EvenhandError]]:
    """The well-formed entries by folder, in order, and the errors of the others.

    Raises:
        EvenhandError: The folder is missing.
    """
    if not folder.is_dir():
        raise EvenhandError(f"{folder}: entries folder does not exist; check the path")
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
    """Load the entry in the folder ``path``, without its tables.

    Raises:
        EvenhandError: The folder is not an entry, or its ``entry.json`` does not match the schema.
    """
    _check_files(path)
    data = read_json(path / ENTRY_FILE, max_bytes=MAX_ENTRY_BYTES)
    result = data.get("result") if isinstance(data, dict) else None
    version = result.get("schema_version") if isinstance(result, dict) else None
    if version != SCHEMA_VERSION:
        raise EvenhandError(
            f"entry {path}: schema version must be {SCHEMA_VERSION}, got {version!r:.40}; run the suite again"
        )
    try:
        # Strict: numbers must be numbers, not strings that can be converted.
        entry = Entry.model_validate(data, strict=True)
    except ValidationError as fault:
        raise EvenhandError(f"entry {path} is not valid: {in_words(fault)}; submit the run again") from fault
    if path.name != entry_name(entry.result):
        raise EvenhandError(f"entry {path} is misnamed; rename it to {entry_name(entry.result)}")
    found = {file.name for file in path.iterdir()} - _outcomes(path)
    for name in sorted(found ^ {ENTRY_FILE, *entry.files}):
        if name in entry.files:
            raise EvenhandError(f"entry {path} lacks its file {name}; submit the run again")
        raise EvenhandError(
            f"entry {path} contains {name!r}, which its {ENTRY_FILE} does not list; remove it"
        )
    return entry


def outcome_files(path: Path) -> list[Path]:
    """All files that verifications of an entry may have written, whether they exist or not."""
    outcomes = [path / VERIFICATION_FILE, path / FRESH_FILE]
    return [*outcomes, *map(signature_of, outcomes), *(path / name for name in FRESH_TABLES)]


def _outcomes(path: Path) -> set[str]:
    """Names of the files that verifications may have written."""
    names = {file.name for name in (VERIFICATION_FILE, FRESH_FILE) for file in _with_signature(path / name)}
    return names | {*FRESH_TABLES} if (path / FRESH_FILE).is_file() else names


def _with_signature(file: Path) -> list[Path]:
    """A file and its signature; none of both where the file is missing."""
    return [file, signature_of(file)] if file.is_file() else []


def _check_files(path: Path) -> None:
    """Check that this is a folder of regular files: links may point anywhere, and a pipe may never end."""
    if path.is_symlink() or not path.is_dir():
        raise EvenhandError(
            f"{path} is not an entry; an entry is a folder written by `evenhand board submit`"
        )
    for file in _irregular_files(path):
        raise EvenhandError(f"entry {path} contains {file.name!r}, which is not a regular file; remove it")
    if not (path / ENTRY_FILE).is_file():
        raise EvenhandError(f"entry {path} has no {ENTRY_FILE}; submit the run again")


def _irregular_files(path: Path) -> Iterator[Path]:
    return (file for file in sorted(path.iterdir()) if file.is_symlink() or not file.is_file())
