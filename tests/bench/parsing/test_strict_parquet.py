"""Untrusted Parquet: the written rows come back, and files in any other form are rejected."""

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evenhand.bench.parsing.strict_parquet import MAX_CHARACTERS, checked_table, read_parquet, write_parquet

COLUMNS = {"key": pa.string(), "code": pa.int8(), "score": pa.float32()}
SCHEMA = pa.schema(COLUMNS).serialize().to_pybytes().hex()


def rows() -> pd.DataFrame:
    return pd.DataFrame({"key": ["a", "b", "c", "a"], "code": range(4), "score": np.linspace(0, 1, 4)})


def stored(table: pa.Table, **options) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **{"compression": "NONE", "store_schema": False, **options})
    return buffer.getvalue()


def table(**changed) -> pa.Table:
    frame = rows()
    columns = {name: pa.array(frame[name], kind) for name, kind in COLUMNS.items()}
    return pa.table(columns | changed)


def check(data: bytes, *, max_rows: int = 10, nullable: tuple[str, ...] = ()) -> pa.Table:
    """The checks as they run in the separate process, here without it."""
    return pa.ipc.open_stream(checked_table(data, SCHEMA, max_rows, nullable)).read_all()


def test_written_rows_are_read_back_by_the_separate_process():
    found = read_parquet(write_parquet(rows(), COLUMNS), COLUMNS, max_rows=4)
    assert found["key"].tolist() == rows()["key"].tolist()
    assert found["code"].tolist() == [0, 1, 2, 3]
    assert found["score"].to_numpy() == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_no_rows_are_a_valid_file():
    assert check(write_parquet(rows().iloc[:0], COLUMNS)).num_rows == 0


def test_equal_rows_give_equal_bytes():
    assert write_parquet(rows(), COLUMNS) == write_parquet(rows(), COLUMNS)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a valid Parquet file"),
        (b"PAR1 and no more PAR1", "not a valid Parquet file"),
        (stored(table(), compression="snappy"), "is compressed; write it uncompressed"),
        (stored(table(), row_group_size=2), "2 row groups; write one"),
        (stored(table().drop_columns("code")), "columns are not exactly key string, code int8, score float"),
        (stored(table(extra=pa.array([1] * 4))), "columns are not exactly"),
        (stored(table(code=pa.array([0] * 4, pa.int64()))), "columns are not exactly"),
        (stored(table(key=pa.array(["a", None, "b", "c"]))), "column 'key' has empty cells"),
        (stored(table(key=pa.array(["a" * (MAX_CHARACTERS + 1)] * 4))), "a text of 201 characters"),
    ],
)
def test_a_file_in_another_form_is_rejected_with_the_reason(data, reason):
    with pytest.raises(ValueError, match=reason):
        check(data)


def test_the_number_of_rows_is_limited():
    data = write_parquet(rows(), COLUMNS)
    assert check(data, max_rows=4).num_rows == 4
    with pytest.raises(ValueError, match="it has 4 rows; at most 3 are allowed"):
        check(data, max_rows=3)


def test_empty_cells_are_allowed_where_stated():
    found = check(stored(table(key=pa.array(["a", None, "b", "c"]))), nullable=("key",))
    assert found["key"].null_count == 1


def test_a_text_of_the_longest_length_is_accepted():
    longest = "a" * MAX_CHARACTERS
    assert check(stored(table(key=pa.array([longest] * 4))))["key"].to_pylist() == [longest] * 4
