"""The manifest of a run folder: the SHA-256 of every file, and signatures of it and of other files.

The manifest is deterministic: the same files give the same bytes. Signatures are in minisign's format, so
that anybody can also check them with the ``minisign`` program.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from evenhand.bench.errors import EvenhandError, some_of
from evenhand.bench.parsing.strict_json import read_json
from evenhand.bench.storage.files import remove_temporary_files, write_atomically

if TYPE_CHECKING:
    import minisign as library

MANIFEST_FILE, SIGNATURE_FILE = "manifest.json", "manifest.json.minisig"

LEFT_OUT = {MANIFEST_FILE, SIGNATURE_FILE, ".lock"}
"""Files that the manifest does not list: itself, its signature, and the lock."""

MAX_BYTES = 2**28
"""Maximum size of a manifest that is read."""


def write_manifest(folder: Path) -> Path:
    """Write ``manifest.json``: path, size and SHA-256 of every file of the folder, sorted by path.

    An old signature is removed, because it is not one of the new manifest. The caller must hold the lock of
    the folder, from which temporary files of killed processes are removed.

    Returns:
        The path of the manifest.

    Raises:
        EvenhandError: The folder has a link, whose target could change unseen.
    """
    remove_temporary_files(folder)
    links = [name for name, path in _files(folder) if path.is_symlink()]
    if links:
        raise EvenhandError(f"{folder / links[0]} is a link; replace it with what it points to")
    files = [
        {"path": name, "bytes": path.stat().st_size, "sha256": _digest(path)} for name, path in _files(folder)
    ]
    path = folder / MANIFEST_FILE
    write_atomically(path, (json.dumps({"files": files}, indent=1, ensure_ascii=False) + "\n").encode())
    (folder / SIGNATURE_FILE).unlink(missing_ok=True)
    return path


def check_manifest(folder: Path) -> int:
    """Check every file of the folder against its manifest.

    Returns:
        The number of files.

    Raises:
        EvenhandError: There is no manifest, or a file differs, is missing or is not listed.
    """
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise EvenhandError(f"{path}: no manifest; write it with `evenhand report {folder} --manifest`")
    remedy = _remedy(folder)
    try:
        rows = read_json(path, max_bytes=MAX_BYTES, remedy=remedy)["files"]
        listed = {str(row["path"]): str(row["sha256"]) for row in rows}
    except (KeyError, TypeError) as fault:
        raise EvenhandError(f"{path}: not a manifest ({fault!r}); {remedy}") from fault
    found = dict(_files(folder))
    linked = {name for name, path in found.items() if path.is_symlink()}
    files = {name: path for name, path in found.items() if name not in linked}
    for problem, names in (
        ("missing", sorted(set(listed) - set(files))),
        ("not in the manifest", sorted({*files, *linked} - set(listed))),
        ("changed", [name for name in listed if name in files and _digest(files[name]) != listed[name]]),
    ):
        if names:
            raise EvenhandError(
                f"{folder}: files do not match {MANIFEST_FILE}: {problem}: {some_of(names)}; {remedy}"
            )
    return len(listed)


def _remedy(folder: Path) -> str:
    """What to do about a manifest that cannot be used: it is not rewritten for files of others."""
    return (
        "get the folder again from who made it, or, if you made it and trust its files, run "
        f"`evenhand report {folder} --manifest`"
    )


def signature_of(path: Path) -> Path:
    """The path of the signature of a file, beside it."""
    return path.with_name(f"{path.name}.minisig")


def sign(path: Path, *, key: Path, password: str | None = None) -> Path:
    """Sign a file.

    Args:
        path: The file.
        key: A secret key of minisign.
        password: Its password, if it has one.

    Returns:
        The path of the signature.

    Raises:
        EvenhandError: The optional package is not installed, or the key cannot be used.
        OSError: The file cannot be read, or the signature not be written.
    """
    minisign, data = _library(), path.read_bytes()
    try:
        secret = minisign.SecretKey.from_file(key)
        if secret.is_encrypted():
            if password is None:
                raise EvenhandError(f"{key}: secret key has a password; type it when asked")
            secret.decrypt(password)
        comment = f"file:{path.name}"
        signature = secret.sign(data, trusted_comment=comment)
    except (OSError, ValueError) as fault:
        raise EvenhandError(
            f"{key}: cannot sign with this key ({fault}); give a minisign secret key"
        ) from fault
    written = signature_of(path)
    write_atomically(written, bytes(signature) + b"\n")
    return written


def check_signature(path: Path, *, key: Path) -> None:
    """Check the signature of a file.

    Args:
        path: The file.
        key: The public key of minisign.

    Raises:
        EvenhandError: The optional package is not installed, a file cannot be read, or the signature is not
            one of this file by this key.
    """
    minisign = _library()
    try:
        public = minisign.PublicKey.from_file(key)
    except (OSError, ValueError) as fault:
        raise EvenhandError(
            f"{key}: cannot read the public key ({fault}); give a minisign public key"
        ) from fault
    try:
        public.verify(path.read_bytes(), minisign.Signature.from_file(signature_of(path)))
    except (OSError, ValueError) as fault:
        raise EvenhandError(
            f"{path}: signature is not valid for {key} ({fault}); get the folder and the key again from who "
            f"signed it, or sign your own folder again with `evenhand report {path.parent} --sign-with KEY`"
        ) from fault


def has_password(key: Path) -> bool:
    """Whether a secret key must be decrypted with a password; false where it cannot be read."""
    try:
        return bool(_library().SecretKey.from_file(key).is_encrypted())
    except (OSError, ValueError):
        return False


def _library() -> library:
    try:
        import minisign
    except ImportError as fault:
        raise EvenhandError(
            "signatures need an optional package; install it with `pip install 'evenhand[sign]'`"
        ) from fault
    return minisign


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files and links by their path within the folder."""
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        name = path.relative_to(folder).as_posix()
        if (path.is_symlink() or path.is_file()) and name not in LEFT_OUT:
            yield name, path


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
