"""Parquet from strangers: one flat group of columns, read whole and checked, or refused with the reason."""

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
"""Name to type of the columns, in order: texts, and types whose values all have one size."""

MOST_LETTERS = 200
"""Longest text of a cell: the name of a judge with its parameters."""


def write_parquet(rows: pd.DataFrame, columns: Columns) -> bytes:
    """The columns as Parquet: one group, not compressed, without a schema that only Arrow reads."""
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
    data: bytes, columns: Columns, *, most_rows: int, may_lack: Collection[str] = ()
) -> pd.DataFrame:
    """The rows of a file that is what :func:`write_parquet` writes, and no more than it can hold.

    A stranger's file may be small and unfold to gigabytes. So nothing compressed is read, and texts are read
    as a dictionary, which is no larger than the file, and looked at before they are spread over the rows. It
    may also bring the parser to abort, so it is read in another process.

    Args:
        data: The file.
        columns: The columns that it must have.
        most_rows: The most rows that it may have.
        may_lack: Columns that may have empty cells.

    Raises:
        ValueError: The file is something else; the message is a clause that says what.
    """
    schema = pa.schema(columns).serialize().to_pybytes().hex()
    answer = run_isolated(checked_table, data, schema=schema, most_rows=most_rows, may_lack=list(may_lack))
    with pa.ipc.open_stream(answer) as stream:
        table = stream.read_all()
    return pd.DataFrame({name: _column(table[name], kind) for name, kind in columns.items()})


def checked_table(data: bytes, schema: str, most_rows: int, may_lack: Collection[str]) -> bytes:
    """The table as a stream of Arrow's; runs in the process that may break.

    Args:
        data: The file.
        schema: The columns that it must have: Arrow's schema in hexadecimal digits.
        most_rows: The most rows that it may have.
        may_lack: Columns that may have empty cells.

    Raises:
        ValueError: The file is something else.
    """
    expected = pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(schema)))
    columns = dict(zip(expected.names, expected.types, strict=True))
    texts = [name for name, kind in columns.items() if pa.types.is_string(kind)]
    try:
        # Once to look at the columns, for those that it lacks cannot be asked for as dictionaries.
        _check_footer(_open(data), columns, most_rows=most_rows)
        table = _open(data, read_dictionary=texts).read(use_threads=False)
    except (pa.ArrowException, OSError, EOFError) as fault:
        raise ValueError(f"it is no Parquet file: {' '.join(str(fault).split()):.120}") from fault
    table = table.combine_chunks()
    for name in columns:
        if table[name].null_count and name not in may_lack:
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


def _check_footer(file: pq.ParquetFile, columns: Columns, *, most_rows: int) -> None:
    footer = file.metadata
    if footer.num_rows > most_rows:
        raise ValueError(f"it has {footer.num_rows:,} rows; at most {most_rows:,} belong there")
    found = [(field.name, field.type) for field in file.schema_arrow]
    if found != list(columns.items()):
        listed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        raise ValueError(f"its columns are not exactly {listed}")
    if footer.num_row_groups > 1:
        raise ValueError(f"it has {footer.num_row_groups:,} row groups; write one")
    group = footer.row_group(0) if footer.num_row_groups else None
    for chunk in (group.column(place) for place in range(len(columns)) if group):
        if chunk.compression != "UNCOMPRESSED":
            raise ValueError(f"column {chunk.path_in_schema!r} is compressed; write it without")
        if chunk.num_values != footer.num_rows:
            raise ValueError(f"column {chunk.path_in_schema!r} has another number of values than rows")


def _check_texts(name: str, column: pa.ChunkedArray) -> None:
    for chunk in column.chunks:
        longest = pc.max(pc.binary_length(chunk.dictionary)).as_py() or 0
        if longest > MOST_LETTERS:
            raise ValueError(f"column {name!r} has a text of {longest:,} letters; at most {MOST_LETTERS}")


def _column(column: pa.ChunkedArray, kind: pa.DataType) -> pd.Series:
    if not pa.types.is_string(kind):
        return pd.Series(column.to_pandas())
    return pd.Series(column.cast(pa.string()).to_pylist(), dtype=object)
