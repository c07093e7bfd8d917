"""The store: content-addressed lossless images and append-only Parquet tables.

Every write goes to a temporary name and is renamed, so that a killed run leaves whole files only.
An image carries its key and the digest of its pixels inside the file, and a table the digest of the file:
what is torn, altered or misplaced is recognised by itself and made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import logging
import re
import struct
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
from pandas.api.types import union_categoricals
from PIL import Image, PngImagePlugin
from pyarrow import parquet

from evenhand.bench.errors import EvenhandError
from evenhand.bench.storage.image_index import ImageIndex, mark
from evenhand.methods.base import Images

_log = logging.getLogger(__name__)

_KEY, _DIGEST, _STATUS = "evenhand-key", "evenhand-digest", "evenhand-status"

_SEAL = b"evenhand-seal:"
_BLANK = _SEAL + b"0" * 64
"""What stands in a table's metadata: a digest of the file in which these zeros are in its place."""

INDEX = "index.txt"
"""The file beside the images that tells which were found whole; it goes by a clock and is no result."""

_KEY_FORM = re.compile(r"\w+")

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` by way of a temporary name in the same folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what killed processes left under temporary names; the caller holds the folder."""
    for left in folder.rglob(".*.tmp"):
        if _TEMPORARY.fullmatch(left.name):
            left.unlink()


def folder_name(label: str) -> str:
    """The label as a file name: other characters become ``_``, told apart by a short hash."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", label)
    return plain if plain == label else f"{plain}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the run folder for this process.

    Raises:
        EvenhandError: Another process holds it, or its file system has no locks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            raise EvenhandError(
                f"run folder {folder} is in use by another process; wait for it or choose another --out"
            ) from fault
        except OSError as fault:
            raise EvenhandError(
                f"run folder {folder} cannot be locked ({fault.strerror}); choose an --out on a local disk"
            ) from fault
        yield


class ImageStore:
    """Images by key in sharded folders: ``images/ab/<key>.png``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: str) -> Path:
        """Where the image with this key lies or will lie.

        Raises:
            EvenhandError: The key is none; a stranger's table could lead out of the folder by it.
        """
        return self.root / self._below(key)

    def named(self, key: str) -> str:
        """The same as the image table says it: from the folder that holds all images on."""
        return f"{self.root.name}/{self._below(key)}"

    def _below(self, key: str) -> str:
        # Text, not a path: a million of them are asked for at once, and paths take ten times as long.
        if not _KEY_FORM.fullmatch(key):
            raise EvenhandError(f"{key!r:.60} is no key of an image; make the tables of the run again")
        return f"{key[:2]}/{key}.png"

    def put(self, key: str, image: Images, *, status: str = "ok") -> None:
        """Store one ``(height, width, 3)`` image; ``status`` is ``"error"`` for one that is not finite."""
        note = PngImagePlugin.PngInfo()
        note.add_text(_KEY, key)
        note.add_text(_STATUS, status)
        note.add_text(_DIGEST, _digest(key, status, image))
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG", pnginfo=note, compress_level=1)
        write_atomically(self.path(key), buffer.getvalue())

    def get(self, key: str) -> tuple[Images, str] | None:
        """The image and its status, or ``None`` if it is missing, torn or altered."""
        try:
            data = self.path(key).read_bytes()
            with Image.open(io.BytesIO(data), formats=["PNG"]) as file:
                file.load()
                note = getattr(file, "text", {})
                image = np.asarray(file)
            status = note.get(_STATUS, "")
            proven = note.get(_KEY) == key and note.get(_DIGEST) == _digest(key, status, image)
            if proven and _is_whole_png(data):
                return image, status
        except FileNotFoundError:
            return None
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as fault:
            _log.info("%s: %r", self.path(key), fault)
        _log.warning("image %s is torn or altered and counts as missing", self.path(key))
        return None

    @cached_property
    def _index(self) -> ImageIndex:
        return ImageIndex(self.root / INDEX)

    def statuses(self, keys: Iterable[str]) -> dict[str, str]:
        """Status of every image of ``keys`` that is there and whole; each file is decoded once only."""
        found: dict[str, str] = {}
        proven: dict[str, tuple[str, str]] = {}
        root = str(self.root)
        for key in keys:
            there = mark(f"{root}/{self._below(key)}")
            status = self._index.status(key, there) if there else None
            if there and status is None and (kept := self.get(key)) is not None:
                status = kept[1]
                proven[key] = there, status
            if status is not None:
                found[key] = status
        self._index.add(proven)
        return found

    def remember(self, statuses: Mapping[str, str]) -> None:
        """Let :meth:`statuses` know of images that were just written, by key."""
        self._index.add({key: (mark(self.path(key)), status) for key, status in statuses.items()})


def _is_whole_png(data: bytes) -> bool:
    """Whether every chunk has its checksum and the last one ends the file; Pillow overlooks some faults."""
    place, kind = len(b"\x89PNG\r\n\x1a\n"), b""
    while place + 12 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + size
        if zlib.crc32(data[place + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            return False
        place = end
    return kind == b"IEND" and place == len(data)


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

    def read(self, *, keys_only: bool = False, compact: bool = False) -> pd.DataFrame:
        """All rows, the finished table first; a torn or altered part is left out: its rows are made again.

        Args:
            keys_only: Whether the columns of the keys are enough.
            compact: Whether texts come as categories and lists in Arrow's memory (see :func:`stacked`).

        Raises:
            EvenhandError: A part that was put there by others has other types.
        """
        paths = (self.path, *sorted(self.parts.glob("part-*.parquet")))
        tables = [_read(path, self.keys if keys_only else None) for path in paths]
        whole = [table for table in tables if table is not None and len(table)]
        if not whole:
            return pd.DataFrame()
        try:
            table = pyarrow.concat_tables(whole, promote_options="permissive")
        except pyarrow.ArrowException as fault:
            raise EvenhandError(
                f"parts of {self.parts} do not fit together ({str(fault)[:100]}); remove what evenhand "
                "did not write there, then run the same command again"
            ) from fault
        rows = _compact(table) if compact else table.to_pandas()
        return rows.drop_duplicates(self.keys, ignore_index=True)

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
    """The rows as a sealed Parquet file."""
    table = pyarrow.Table.from_pandas(rows, preserve_index=False)
    buffer = io.BytesIO()
    # Without notes on types in memory: what are categories here are texts for every reader.
    with parquet.ParquetWriter(buffer, table.schema, store_schema=False) as file:
        file.write_table(table)
        file.add_key_value_metadata({"evenhand": _BLANK})
    data = buffer.getvalue()
    head, _, tail = data.rpartition(_BLANK)
    return head + _seal_of(data) + tail


def _seal_of(blank: bytes) -> bytes:
    return _SEAL + hashlib.sha256(blank).hexdigest().encode()


def _is_whole(data: bytes) -> bool:
    """Whether the seal fits the file; one without a seal was not written here and is taken as it is."""
    head, seal, tail = data.rpartition(_SEAL)
    if not seal:
        return True
    digits = len(_BLANK) - len(_SEAL)
    return seal + tail[:digits] == _seal_of(head + _BLANK + tail[digits:])


def _read(path: Path, columns: list[str] | None) -> pyarrow.Table | None:
    try:
        data = path.read_bytes()
        if _is_whole(data):
            table = parquet.read_table(io.BytesIO(data), columns=columns)
            table.validate(full=True)
            return table
    except FileNotFoundError:
        return None
    except (pyarrow.ArrowException, OSError) as fault:
        _log.info("%s: %r", path, fault)
    _log.warning("table %s is torn or altered; its rows are made again", path)
    return None


def _compact(table: pyarrow.Table) -> pd.DataFrame:
    """The table with its texts as categories, in the order of their values, and lists in Arrow's memory."""

    def in_arrow(kind: pyarrow.DataType) -> pd.ArrowDtype | None:
        return pd.ArrowDtype(kind) if pyarrow.types.is_list(kind) else None

    rows: pd.DataFrame = table.to_pandas(strings_to_categorical=True, types_mapper=in_arrow)
    for name in rows.select_dtypes("category"):
        rows[name] = rows[name].cat.reorder_categories(rows[name].cat.categories.sort_values())
    return rows


def stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Rows of tables with the columns of the first; what is a category there has its values in order.

    A large table in which few texts stand in many rows is gone through many times as fast as categories, and
    takes a fraction of the memory; so do lists that are no Python objects.
    """
    columns: dict[str, Any] = {}
    for name, dtype in frames[0].dtypes.items():
        parts = [frame[name] for frame in frames]
        if isinstance(dtype, pd.CategoricalDtype):
            texts = [part.astype("category") for part in parts]
            columns[str(name)] = union_categoricals(texts, sort_categories=True)
        else:
            columns[str(name)] = pd.concat([part.astype(dtype) for part in parts], ignore_index=True)
    return pd.DataFrame(columns)
