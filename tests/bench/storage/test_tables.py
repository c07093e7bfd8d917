"""Tables written in parts: damaged parts, duplicates and bytes that do not depend on order."""

import numpy as np
import pandas as pd
import pyarrow
import pytest
from pyarrow import parquet

from evenhand.bench.errors import EvenhandError
from evenhand.bench.storage.tables import Table, stacked
from evenhand.metrics.table import matrix_of


def frame(*keys):
    return pd.DataFrame({"key": list(keys), "value": range(len(keys))})


def test_parts_and_the_finished_table_read_as_one(tmp_path):
    table = Table(tmp_path, "labels", keys=("key",))
    table.append(frame("b"))
    table.append(frame("a", "c"))
    assert sorted(table.read()["key"]) == ["a", "b", "c"]
    table.finish(table.read())
    table.append(frame("d"))
    assert list(table.read()["key"]) == ["a", "b", "c", "d"]
    assert len(list(tmp_path.rglob("part-*"))) == 1


def test_a_truncated_part_is_skipped(tmp_path):
    table = Table(tmp_path, "labels", keys=("key",))
    table.append(frame("a"))
    table.append(frame("b"))
    part = sorted(tmp_path.rglob("part-*"))[0]
    part.write_bytes(part.read_bytes()[:40])
    assert len(table.read()) == 1
    with pytest.raises(
        EvenhandError, match=r"part-\w+\.parquet: table is truncated or altered; run the same"
    ):
        table.read(whole=True)


def test_a_table_without_rows_is_whole(tmp_path):
    table = Table(tmp_path, "labels", keys=("key",))
    table.finish(pd.DataFrame())
    assert len(table.read(whole=True)) == len(table.read(keys_only=True, whole=True)) == 0


def test_a_row_written_twice_counts_once(tmp_path):
    table = Table(tmp_path, "labels", keys=("key",))
    table.append(frame("a"))
    table.append(frame("a"))
    assert len(table.read()) == 1


def test_the_finished_table_has_the_same_bytes_in_any_order_of_parts(tmp_path):
    written = []
    for name, order in (("one", "abc"), ("two", "cab")):
        table = Table(tmp_path / name, "t", keys=("key",))
        for key in order:
            table.append(pd.DataFrame({"key": [key], "value": [ord(key)]}))
        table.finish(table.read())
        written.append(table.path.read_bytes())
    assert written[0] == written[1]


LABELS = pd.DataFrame(
    {
        "key": ["b", "a", "b"],
        "judge": ["vit", "vit", "clip"],
        "confidence": [0.5, np.nan, 0.75],
        "probabilities": [[0.5, 0.25, 0.25], [0.0, 0.0, 1.0], [0.75, 0.25, 0.0]],
    }
)


def test_a_compact_table_has_the_same_rows_and_writes_the_same_file(tmp_path):
    files = []
    for compact in (False, True):
        table = Table(tmp_path / str(compact), "labels", keys=("key", "judge"))
        table.append(LABELS[:2])
        table.append(LABELS[2:])
        frames = [table.read(compact=compact), LABELS[:2].assign(judge="panel")]
        table.finish(stacked(frames) if compact else pd.concat(frames))
        files.append(table.path)
        assert len(table.read(compact=compact)) == 5
    kinds = {str(kind) for file in files for kind in parquet.read_schema(file).types}
    assert kinds == {"string", "double", "list<element: double>"}
    assert parquet.read_table(files[0]).equals(parquet.read_table(files[1]))


def test_categories_of_a_compact_table_are_in_the_order_of_their_values(tmp_path):
    table = Table(tmp_path, "labels", keys=("key", "judge"))
    table.append(LABELS)
    rows = table.read(compact=True)
    assert list(rows["judge"].cat.categories) == ["clip", "vit"]
    assert list(rows.sort_values("key", kind="stable")["key"]) == ["a", "b", "b"]
    more = stacked([rows, LABELS.assign(judge="a judge")])
    assert list(more["judge"].cat.categories) == ["a judge", "clip", "vit"]
    assert matrix_of(more["probabilities"]).tolist() == 2 * LABELS["probabilities"].tolist()
    assert set(table.read(keys_only=True).columns) == {"key", "judge"}


def test_parts_of_another_table_are_skipped_or_an_error(tmp_path):
    table = Table(tmp_path, "labels", keys=("key", "judge"))
    table.append(LABELS)
    no_text = pyarrow.Array.from_buffers(
        pyarrow.string(), 1, [None, pyarrow.py_buffer(b"\0\0\0\0\2\0\0\0"), pyarrow.py_buffer(b"\xff\xfe")]
    )
    foreign = table.parts / "part-0.parquet"
    parquet.write_table(pyarrow.table({"key": no_text, "judge": ["vit"]}), foreign)
    assert len(table.read()) == len(table.read(compact=True)) == 3
    parquet.write_table(pyarrow.table({"key": [1], "judge": ["vit"]}), foreign)
    with pytest.raises(
        EvenhandError,
        match=r"parts of the table are incompatible .*key.*; remove files that evenhand did not write",
    ):
        table.read()
