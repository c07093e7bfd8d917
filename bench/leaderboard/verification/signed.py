"""Reads the outcomes of verifications beside an entry, and counts those that a maintainer has signed.

The files are untrusted: anybody can write one, or copy one with its signature from another entry. So an
outcome counts if a known maintainer signed exactly these bytes and they are about exactly this entry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.entries import (
    FRESH_FILE,
    MAX_FRESH_BYTES,
    VERIFICATION_FILE,
    load_entry,
)
from evenhand.bench.leaderboard.verification.commitment import check_commitment
from evenhand.bench.parsing.regular_file import read_regular
from evenhand.bench.parsing.schema_words import in_words
from evenhand.bench.parsing.strict_json import read_json
from evenhand.bench.results.entry import ENTRY_FILE, Entry, Verification, submission_digest
from evenhand.bench.results.fresh import Fresh
from evenhand.bench.results.result import Record
from evenhand.bench.storage.manifest import check_signature, sign, signature_of

MAX_VERIFICATION_BYTES = 2**16
"""Maximum size of ``verification.json``; one with a dozen judges has some thousand bytes."""

MAX_SIGNATURE_BYTES = 2**12
"""Maximum size of a signature; one has some hundred bytes."""

MAINTAINERS = Path("reports/maintainers")
"""Folder of the public keys of the maintainers, in the checkout of the board and not in a submission."""

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Outcomes:
    """The verifications of an entry that count.

    Attributes:
        verification: A sample was regenerated on its own noise, and agrees.
        fresh: The method was drawn on fresh noise.
        notices: Why an outcome beside the entry does not count, one clause each.
    """

    verification: Verification | None = None
    fresh: Fresh | None = None
    notices: tuple[str, ...] = ()


def maintainer_keys(folder: Path) -> tuple[Path, ...]:
    """The public keys in a folder; none if it does not exist."""
    return tuple(sorted(folder.glob("*.pub")))


def read_outcomes(path: Path, entry: Entry, *, keys: Sequence[Path]) -> Outcomes:
    """The outcomes beside an entry.

    Args:
        path: Folder of the entry.
        entry: The entry.
        keys: Public keys of the maintainers.

    Raises:
        EvenhandError: A file is not valid, or a verification is of another version of the entry or did not
            agree.
    """
    notices = []
    verification, fresh = _verification(path), _read(path / FRESH_FILE, Fresh, max_bytes=MAX_FRESH_BYTES)
    if verification is not None and (reason := _unsigned(path / VERIFICATION_FILE, keys)):
        notices.append(f"{VERIFICATION_FILE} is ignored: {reason}")
        verification = None
    if fresh is not None and (reason := _unsigned(path / FRESH_FILE, keys) or _foreign(path, entry, fresh)):
        notices.append(f"{FRESH_FILE} is ignored: {reason}")
        fresh = None
    return Outcomes(verification, fresh, tuple(notices))


def sign_outcome(file: Path, *, key: Path, password: str | None = None) -> Path:
    """Sign one outcome beside an entry, as the maintainer who verified; returns the signature.

    The file is named by the maintainer and never found beside the entry: the submitter may have put an
    outcome there that no verification has written.

    Args:
        file: ``verification.json`` or ``fresh.json`` of an entry.
        key: Secret key.
        password: Password of the key, if it has one.

    Raises:
        EvenhandError: The file is not an outcome of its entry as it is now, or the key cannot be used.
    """
    if file.name not in (VERIFICATION_FILE, FRESH_FILE) or not file.is_file():
        raise EvenhandError(
            f"{file}: not an outcome; give the {VERIFICATION_FILE} or {FRESH_FILE} that your own "
            "`evenhand board verify` has written"
        )
    folder = file.parent
    entry = load_entry(folder)
    if file.name == VERIFICATION_FILE:
        _verification(folder)
    else:
        fresh = _read(file, Fresh, max_bytes=MAX_FRESH_BYTES)
        if fresh is not None and (reason := _foreign(folder, entry, fresh)):
            raise EvenhandError(f"{file}: {reason}; verify the entry again")
    return sign(file, key=key, password=password)


def _unsigned(file: Path, keys: Sequence[Path]) -> str:
    """Why a file does not count; empty if one of the keys signed it."""
    signature = signature_of(file)
    if not signature.is_file():
        return "it is not signed by a maintainer"
    if not keys:
        return "no key of a maintainer is known here; give their folder with --maintainers"
    try:
        read_regular(signature, max_bytes=MAX_SIGNATURE_BYTES)
    except OSError as fault:
        return f"its signature cannot be read ({fault.strerror})"
    return "" if any(_signs(key, file) for key in keys) else "its signature is not that of a maintainer"


def _signs(key: Path, file: Path) -> bool:
    try:
        check_signature(file, key=key)
    except EvenhandError as fault:
        if isinstance(fault.__cause__, ImportError):
            # Without the library nothing can be checked; saying "not signed" would be wrong.
            raise
        return False
    return True


def _foreign(path: Path, entry: Entry, fresh: Fresh) -> str:
    """Why an outcome on fresh noise is not one of this entry; empty if it is."""
    submission = submission_digest(entry)
    if fresh.submission != submission:
        return "it is of another submission"
    try:
        check_commitment(path, salt=fresh.salt, submission=submission, holdout=fresh.holdout)
    except EvenhandError as fault:
        return str(fault)
    return ""


def _verification(path: Path) -> Verification | None:
    """The outcome of a regeneration, read as untrusted input; ``None`` if there is none."""
    file = path / VERIFICATION_FILE
    found = _read(file, Verification, max_bytes=MAX_VERIFICATION_BYTES)
    if found is None:
        return None
    if found.entry != hashlib.sha256((path / ENTRY_FILE).read_bytes()).hexdigest():
        raise EvenhandError(f"{file.name} is of another version of the entry; verify it again")
    if not found.agrees:
        raise EvenhandError(f"{file.name} says that the sample did not agree; remove the entry")
    return found


def _read(file: Path, kind: type[R], *, max_bytes: int) -> R | None:
    if not file.exists():
        return None
    data = read_json(file, max_bytes=max_bytes)
    try:
        return kind.model_validate(data, strict=True)
    except ValidationError as fault:
        raise EvenhandError(f"{file.name} is not valid: {in_words(fault)}; verify the entry again") from fault
