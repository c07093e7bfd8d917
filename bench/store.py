"""The store: content-addressed lossless pictures and append-only Parquet tables.

Every write goes to a temporary name and is renamed, so that a killed run leaves whole files only.
A picture carries its key and the digest of its pixels inside the file: a torn, altered or misplaced
picture is recognised by itself and made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
from PIL import Image, PngImagePlugin

from evenhand.bench.errors import EvenhandError
from evenhand.methods.base import Images

_KEY, _DIGEST, _STATUS = "evenhand-key", "evenhand-digest", "evenhand-status"


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` by way of a temporary name in the same folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def folder_name(label: str) -> str:
    """The label as a file name: other characters become ``_``, told apart by a short hash."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", label)
    return plain if plain == label else f"{plain}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the run folder for this process.

    Raises:
        EvenhandError: Another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            raise EvenhandError(
                f"run folder {folder} is in use by another process; wait for it or choose another --out"
            ) from fault
        yield


class PictureStore:
    """Pictures by key in sharded folders: ``pictures/ab/<key>.png``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: str) -> Path:
        """Where the picture with this key lies or will lie."""
        return self.root / key[:2] / f"{key}.png"

    def put(self, key: str, image: Images, *, status: str = "ok") -> None:
        """Store one ``(height, width, 3)`` picture; ``status`` is ``"error"`` for one that is not finite."""
        note = PngImagePlugin.PngInfo()
        note.add_text(_KEY, key)
        note.add_text(_STATUS, status)
        note.add_text(_DIGEST, _digest(key, status, image))
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG", pnginfo=note, compress_level=1)
        write_atomically(self.path(key), buffer.getvalue())

    def get(self, key: str) -> tuple[Images, str] | None:
        """The picture and its status, or ``None`` if it is missing, torn or altered."""
        try:
            with Image.open(self.path(key), formats=["PNG"]) as file:
                file.load()
                note = getattr(file, "text", {})
                image = np.asarray(file)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            return None  # reported as missing: the caller makes it again
        status = note.get(_STATUS, "")
        if note.get(_KEY) != key or note.get(_DIGEST) != _digest(key, status, image):
            return None
        return image, status


def _digest(key: str, status: str, image: Images) -> str:
    head = f"{key}\n{status}\n{image.shape}\n".encode()
    return hashlib.sha256(head + np.ascontiguousarray(image).tobytes()).hexdigest()


class Table:
    """A Parquet table written in parts: ``tables/<name>/part-*.parquet``, then one ``<name>.parquet``.

    Rows are unique in ``keys``; of two rows with the same keys the one in the finished table stays.
    """

    def __init__(self, folder: Path, name: str, *, keys: tuple[str, ...]) -> None:
        self.path = folder / f"{name}.parquet"
        self.parts = folder / name
        self.keys = list(keys)

    def append(self, rows: pd.DataFrame) -> None:
        """Write ``rows`` as one new part."""
        if len(rows):
            write_atomically(self.parts / f"part-{uuid.uuid4().hex}.parquet", _parquet(rows))

    def read(self) -> pd.DataFrame:
        """All rows, the finished table first; a torn part is left out, so that its rows are made again."""
        frames = [_read(path) for path in (self.path, *sorted(self.parts.glob("part-*.parquet")))]
        whole = [frame for frame in frames if frame is not None and len(frame)]
        if not whole:
            return pd.DataFrame()
        return pd.concat(whole, ignore_index=True).drop_duplicates(self.keys, ignore_index=True)

    def finish(self, rows: pd.DataFrame) -> None:
        """Write the finished table, sorted by its keys, and remove the parts it replaces."""
        parts = list(self.parts.glob("part-*.parquet"))
        ordered = rows.sort_values(self.keys, ignore_index=True) if len(rows) else rows
        write_atomically(self.path, _parquet(ordered))
        for part in parts:
            part.unlink()
        if self.parts.is_dir():
            self.parts.rmdir()


def _parquet(rows: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    rows.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _read(path: Path) -> pd.DataFrame | None:
    try:
        return pd.read_parquet(path)
    except (FileNotFoundError, pyarrow.ArrowInvalid, pyarrow.ArrowException, OSError):
        return None  # torn or missing: its rows are made again
