"""Append-only Parquet tables.

Every file has a digest of its content. Damaged or altered files are therefore detected, and their rows
regenerated.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
from pandas.api.types import union_categoricals
from pyarrow import parquet

from evenhand.bench.errors import EvenhandError
from evenhand.bench.parsing.regular_file import open_regular
from evenhand.bench.storage.files import write_atomically

_log = logging.getLogger(__name__)

_SEAL = b"evenhand-seal:"
_BLANK = _SEAL + b"0" * 64
"""Placeholder in the metadata of a table; the zeros are replaced by the digest of the file with the
placeholder."""

_MAX_BYTES = 2**33
"""Maximum size of a table; the embeddings of two million images have half of that."""

_MAGIC = b"PAR1"
"""The last bytes of every Parquet file."""

_REGENERATE = "run the same `evenhand run` or `evenhand audit` command again, which regenerates"


class Table:
    """A Parquet table written in parts: ``tables/<name>/part-*.parquet``, then one ``<name>.parquet``.

    Rows are unique in ``keys``. Of duplicates, the row in the finished table is kept.
    """

    def __init__(self, folder: Path, name: str, *, keys: tuple[str, ...]) -> None:
        self.path = folder / f"{name}.parquet"
        self.parts = folder / name
        self.keys = list(keys)

    def append(self, rows: pd.DataFrame) -> None:
        """Write ``rows`` as a new part."""
        if len(rows):
            write_atomically(self.parts / f"part-{uuid.uuid4().hex}.parquet", _parquet(rows))

    def read(self, *, keys_only: bool = False, compact: bool = False, whole: bool = False) -> pd.DataFrame:
        """All rows, the finished table first.

        Args:
            keys_only: Whether to read only the columns of the keys.
            compact: Whether strings become categories and lists stay in Arrow memory (see :func:`stacked`).
            whole: Whether a damaged part is an error. Otherwise it is skipped, and the caller regenerates
                its rows.

        Raises:
            EvenhandError: A part is damaged, or parts have incompatible types, so one was not written by
                Evenhand.
        """
        paths = (self.path, *sorted(self.parts.glob("part-*.parquet")))
        tables = [_read(path, keys=self.keys, keys_only=keys_only, whole=whole) for path in paths]
        filled = [table for table in tables if table is not None and len(table)]
        if not filled:
            return pd.DataFrame()
        try:
            table = pyarrow.concat_tables(filled, promote_options="permissive")
        except pyarrow.ArrowException as fault:
            raise EvenhandError(
                f"{self.parts}: parts of the table are incompatible ({str(fault)[:100]}); remove files that "
                "evenhand did not write, and run the same command again"
            ) from fault
        rows = _compact(table) if compact else table.to_pandas()
        del tables, filled, table
        # Otherwise Arrow keeps the memory of all columns as they were read: 0.4 GB for a million labels.
        pyarrow.default_memory_pool().release_unused()
        return rows.drop_duplicates(self.keys, ignore_index=True)

    def check_finished(self) -> None:
        """Check that the finished table exists; without it, :meth:`read` returns the rows of the parts only.

        Raises:
            EvenhandError: It does not.
        """
        if not self.path.is_file():
            raise EvenhandError(f"{self.path}: table is missing; {_REGENERATE} its rows")

    def finish(self, rows: pd.DataFrame) -> None:
        """Write the finished table, sorted by keys, and remove the parts it replaces."""
        parts = list(self.parts.glob("part-*.parquet"))
        ordered = rows.sort_values(self.keys, ignore_index=True) if len(rows) else rows
        write_atomically(self.path, _parquet(ordered))
        for part in parts:
            part.unlink()
        if self.parts.is_dir():
            self.parts.rmdir()


def _parquet(rows: pd.DataFrame) -> bytes:
    """The rows as a Parquet file with a digest."""
    table = pyarrow.Table.from_pandas(rows, preserve_index=False)
    buffer = io.BytesIO()
    # Without the Arrow schema: categories in memory are plain strings in the file.
    with parquet.ParquetWriter(buffer, table.schema, store_schema=False) as file:
        file.write_table(table)
        file.add_key_value_metadata({"evenhand": _BLANK})
    data = buffer.getvalue()
    head, _, tail = data.rpartition(_BLANK)
    return head + _seal_of(data) + tail


def _seal_of(blank: bytes) -> bytes:
    return _SEAL + hashlib.sha256(blank).hexdigest().encode()


def _is_whole(data: bytes) -> bool:
    """Whether the digest is right; a file without one was written by other software and is accepted."""
    head, seal, tail = data.rpartition(_SEAL)
    if not seal:
        return True
    digits = len(_BLANK) - len(_SEAL)
    return seal + tail[:digits] == _seal_of(head + _BLANK + tail[digits:])


def _read(path: Path, *, keys: list[str], keys_only: bool, whole: bool) -> pyarrow.Table | None:
    try:
        data = _content(path)
        if _is_whole(data):
            if parquet.read_metadata(io.BytesIO(data)).num_rows == 0:
                return None  # Without rows it has no columns either.
            table = parquet.read_table(io.BytesIO(data), columns=keys if keys_only else None)
            table.validate(full=True)
            if not set(keys) <= set(table.column_names):
                raise pyarrow.ArrowInvalid(f"it has no columns {', '.join(keys)}")
            return table
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (pyarrow.ArrowException, OSError) as fault:
        _log.info("%s: %r", path, fault)
    if whole:
        raise EvenhandError(f"{path}: table is truncated or altered; {_REGENERATE} its rows")
    _log.warning("%s: table is truncated or altered; its rows are regenerated", path)
    return None


def _content(path: Path) -> bytes:
    with open_regular(path, max_bytes=_MAX_BYTES) as file:
        # A sparse file ends in zeros; do not read gigabytes of them.
        file.seek(-len(_MAGIC), os.SEEK_END)
        if file.read() != _MAGIC:
            raise pyarrow.ArrowInvalid("it does not end like a Parquet file")
        file.seek(0)
        return file.read()


def _compact(table: pyarrow.Table) -> pd.DataFrame:
    """The table with strings as sorted categories, and lists in Arrow memory."""

    def in_arrow(kind: pyarrow.DataType) -> pd.ArrowDtype | None:
        return pd.ArrowDtype(kind) if pyarrow.types.is_list(kind) else None

    rows: pd.DataFrame = table.to_pandas(strings_to_categorical=True, types_mapper=in_arrow)
    for name in rows.select_dtypes("category"):
        rows[name] = rows[name].cat.reorder_categories(rows[name].cat.categories.sort_values())
    return rows


def stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate tables, with the columns and types of the first one; categories are sorted.

    Categories make large tables with few distinct strings much faster and smaller; so do lists in Arrow
    memory.
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
