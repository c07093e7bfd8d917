"""Salts of verifications on fresh noise: committed to by hash before, revealed after.

A salt decides the noise and the prompts that a method is verified on. Its SHA-256 is published together with
the identities of the entries before anything is drawn. So a submitter cannot choose the entry for the noise,
and a maintainer cannot try several salts and show the best.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.entries import load_entry
from evenhand.bench.parsing.regular_file import read_regular
from evenhand.bench.parsing.strict_json import read_json
from evenhand.bench.registry.judge_spec import judge_name, load_judge
from evenhand.bench.results.entry import submission_digest
from evenhand.bench.results.fresh import Sha256, commitment_of
from evenhand.bench.results.result import Record
from evenhand.bench.storage.files import write_atomically

FOLDER = "commitments"
"""Folder of the commitments, beside the folder of the entries."""

MAX_BYTES = 2**20
"""Maximum size of a commitment."""


class Commitment(Record):
    """A published commitment: one salt, and the entries that may be verified with it."""

    commitment: Sha256 = Field(description="SHA-256 of the salt")
    entries: dict[str, Sha256] = Field(description="folder of an entry to its identity")
    holdout: list[Sha256] = Field(default_factory=list, description="hashes of the held-back judges")


def commit(entries: Sequence[Path], *, salt: Path, holdout: Sequence[str] = ()) -> Path:
    """Create a salt for these entries, and write the commitment to it beside their folder.

    Args:
        entries: Folders of entries, all in one folder.
        salt: The file to write the salt to; it must stay secret until the entries are verified.
        holdout: Judges that are held back, as in :func:`evenhand.bench.registry.judge_spec.load_judge`.

    Returns:
        The path of the commitment, to be published.

    Raises:
        EvenhandError: An entry or a judge is not valid, or the file of the salt exists.
    """
    if not entries or len({path.resolve().parent for path in entries}) > 1:
        raise EvenhandError("a commitment needs entries of one folder; give at least one of them")
    stated = {path.name: submission_digest(load_entry(path)) for path in entries}
    names = [load_judge(name).info.name for name in holdout]
    text = secrets.token_hex(32)
    try:
        # Not atomic on purpose: an existing salt is never replaced, and nobody else may read it.
        descriptor = os.open(salt, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as fault:
        raise EvenhandError(f"{salt}: cannot write the salt ({fault.strerror}); choose a new file") from fault
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{text}\n")
    found = Commitment(
        commitment=commitment_of(text), entries=stated, holdout=[hidden(name, text) for name in names]
    )
    path = _path(entries[0].resolve().parent, found.commitment)
    write_atomically(path, (found.model_dump_json(indent=1) + "\n").encode())
    return path


def read_salt(path: Path) -> str:
    """The salt in a file.

    Raises:
        EvenhandError: The file cannot be read or is not a salt.
    """
    try:
        text = read_regular(path, max_bytes=200).decode("ascii").strip()
        if len(text) != 64 or set(text) - set("0123456789abcdef"):
            raise ValueError("not 64 hexadecimal digits")
    except (OSError, ValueError) as fault:
        raise EvenhandError(
            f"{path}: not a salt ({fault}); write one with `evenhand board commit`"
        ) from fault
    return text


def check_commitment(entry: Path, *, salt: str, submission: str, holdout: Sequence[str] = ()) -> None:
    """Check that a commitment to the salt names this entry as it is, and these held-back judges.

    Args:
        entry: Folder of the entry.
        salt: The salt.
        submission: Identity of the entry.
        holdout: Names of the held-back judges.

    Raises:
        EvenhandError: There is no such commitment.
    """
    path = _path(entry.resolve().parent, commitment_of(salt))
    if not path.is_file():
        raise EvenhandError(f"{path}: no commitment to this salt; make one with `evenhand board commit`")
    try:
        found = Commitment.model_validate(read_json(path, max_bytes=MAX_BYTES), strict=True)
    except ValueError as fault:
        raise EvenhandError(f"{path}: not a commitment; make a new one") from fault
    if found.commitment != commitment_of(salt):
        raise EvenhandError(f"{path}: the commitment is to another salt; make a new one")
    if found.entries.get(entry.name) != submission:
        raise EvenhandError(
            f"{path}: the commitment is not to entry {entry.name!r} as it is now; make a new one"
        )
    if sorted(found.holdout) != sorted(hidden(name, salt) for name in holdout):
        raise EvenhandError(f"{path}: the commitment is to other held-back judges; give the same ones")


def hidden(judge: str, salt: str) -> str:
    """The hash that commits to a held-back judge without naming it."""
    return hashlib.sha256(f"{salt}\n{judge_name(judge)}".encode()).hexdigest()


def _path(entries: Path, commitment: str) -> Path:
    return entries.parent / FOLDER / f"{commitment[:16]}.json"
