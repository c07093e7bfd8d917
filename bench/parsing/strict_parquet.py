"""Reads untrusted Parquet files: one row group of flat columns, strictly checked."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evenhand.bench.parsing.isolated import run_isolated

Columns = Mapping[str, pa.DataType]
"""Column names to types, in order: strings, and types of fixed size."""

MAX_CHARACTERS = 200
"""Maximum length of a string; the longest are names of judges with parameters."""


def write_parquet(rows: pd.DataFrame, columns: Columns) -> bytes:
    """The columns as Parquet: one row group, uncompressed, without an Arrow-specific schema."""
    table = pa.table({name: pa.array(rows[name], kind, from_pandas=False) for name, kind in columns.items()})
    buffer = io.BytesIO()
    pq.write_table(
        table,
        buffer,
        row_group_size=max(1, len(rows)),
        compression="NONE",
        use_dictionary=[name for name in columns if rows[name].nunique(dropna=False) < len(rows) / 4],
        store_schema=False,
        write_statistics=False,
    )
    return buffer.getvalue()


def read_parquet(
    data: bytes, columns: Columns, *, max_rows: int, nullable: Collection[str] = ()
) -> pd.DataFrame:
    """The rows of a file in the format of :func:`write_parquet`.

    A small untrusted file may expand to gigabytes. Therefore compressed files are rejected, and strings are
    read as a dictionary, which is no larger than the file, and checked before they are expanded. A file may
    also crash the parser, so it is read in a separate process.

    Args:
        data: The content of the file.
        columns: The columns that the file must have.
        max_rows: Maximum number of rows.
        nullable: Columns that may have null values.

    Raises:
        ValueError: The file is rejected; the message says why.
    """
    schema = pa.schema(columns).serialize().to_pybytes().hex()
    answer = run_isolated(checked_table, data, schema=schema, max_rows=max_rows, nullable=list(nullable))
    with pa.ipc.open_stream(answer) as stream:
        table = stream.read_all()
    return pd.DataFrame({name: _column(table[name], kind) for name, kind in columns.items()})


def checked_table(data: bytes, schema: str, max_rows: int, nullable: Collection[str]) -> bytes:
    """The table as an Arrow stream; runs in the separate process.

    Args:
        data: The content of the file.
        schema: The columns that the file must have: an Arrow schema in hexadecimal digits.
        max_rows: Maximum number of rows.
        nullable: Columns that may have null values.

    Raises:
        ValueError: The file is rejected.
    """
    expected = pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(schema)))
    columns = dict(zip(expected.names, expected.types, strict=True))
    texts = [name for name, kind in columns.items() if pa.types.is_string(kind)]
    try:
        # First check the columns: missing ones cannot be read as dictionaries.
        _check_footer(_open(data), columns, max_rows=max_rows)
        table = _open(data, read_dictionary=texts).read(use_threads=False)
    except (pa.ArrowException, OSError, EOFError) as fault:
        raise ValueError(f"it is not a valid Parquet file: {' '.join(str(fault).split()):.120}") from fault
    table = table.combine_chunks()
    for name in columns:
        if table[name].null_count and name not in nullable:
            raise ValueError(f"column {name!r} has empty cells")
        if name in texts:
            _check_texts(name, table[name])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def _open(data: bytes, **options: Any) -> pq.ParquetFile:
    limits = {"thrift_string_size_limit": 2**16, "thrift_container_size_limit": 2**12}
    return pq.ParquetFile(pa.BufferReader(data), **limits, **options)


def _check_footer(file: pq.ParquetFile, columns: Columns, *, max_rows: int) -> None:
    footer = file.metadata
    if footer.num_rows > max_rows:
        raise ValueError(f"it has {footer.num_rows:,} rows; at most {max_rows:,} are allowed")
    found = [(field.name, field.type) for field in file.schema_arrow]
    if found != list(columns.items()):
        listed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        raise ValueError(f"its columns are not exactly {listed}")
    if footer.num_row_groups > 1:
        raise ValueError(f"it has {footer.num_row_groups:,} row groups; write one")
    group = footer.row_group(0) if footer.num_row_groups else None
    for chunk in (group.column(place) for place in range(len(columns)) if group):
        if chunk.compression != "UNCOMPRESSED":
            raise ValueError(f"column {chunk.path_in_schema!r} is compressed; write it uncompressed")
        if chunk.num_values != footer.num_rows:
            raise ValueError(f"column {chunk.path_in_schema!r} has a different number of values than rows")


def _check_texts(name: str, column: pa.ChunkedArray) -> None:
    for chunk in column.chunks:
        longest = pc.max(pc.binary_length(chunk.dictionary)).as_py() or 0
        if longest > MAX_CHARACTERS:
            raise ValueError(
                f"column {name!r} has a text of {longest:,} characters; at most {MAX_CHARACTERS} are allowed"
            )


def _column(column: pa.ChunkedArray, kind: pa.DataType) -> pd.Series:
    if not pa.types.is_string(kind):
        return pd.Series(column.to_pandas())
    return pd.Series(column.cast(pa.string()).to_pylist(), dtype=object)
