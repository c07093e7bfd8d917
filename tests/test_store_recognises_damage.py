"""The store gives back what was put there, or nothing."""

import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenhand.bench.errors import EvenhandError
from evenhand.bench.store import PictureStore, Table, locked

IMAGE = np.random.default_rng(0).integers(0, 256, size=(8, 8, 3), dtype=np.uint8)
KEY = "ab" * 32


@pytest.fixture
def store(tmp_path):
    store = PictureStore(tmp_path / "pictures")
    store.put(KEY, IMAGE)
    return store


def test_a_picture_comes_back_without_loss(store):
    image, status = store.get(KEY)
    assert (image == IMAGE).all() and status == "ok"


def test_a_picture_that_is_not_finite_keeps_its_status(store):
    store.put(KEY, IMAGE, status="error")
    assert store.get(KEY)[1] == "error"


def test_pictures_lie_in_sharded_folders(store):
    assert store.path(KEY) == store.root / "ab" / f"{KEY}.png"


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 1000))
def test_a_torn_picture_counts_as_missing(tmp_path_factory, cut):
    store = PictureStore(tmp_path_factory.mktemp("store"))
    store.put(KEY, IMAGE)
    data = store.path(KEY).read_bytes()
    store.path(KEY).write_bytes(data[: min(cut, len(data) - 1)])
    assert store.get(KEY) is None


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_a_picture_with_a_flipped_byte_counts_as_missing(tmp_path_factory, place, flip):
    store = PictureStore(tmp_path_factory.mktemp("store"))
    store.put(KEY, IMAGE)
    data = bytearray(store.path(KEY).read_bytes())
    data[place % len(data)] ^= flip
    store.path(KEY).write_bytes(bytes(data))
    assert store.get(KEY) is None


def test_a_picture_under_another_key_counts_as_missing(store):
    other = "cd" * 32
    store.path(other).parent.mkdir(parents=True)
    shutil.copy(store.path(KEY), store.path(other))
    assert store.get(other) is None


def test_no_temporary_file_is_left(store):
    assert [path.name for path in store.root.rglob("*") if path.is_file()] == [f"{KEY}.png"]


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


def test_a_torn_part_is_left_out_so_that_its_rows_are_made_again(tmp_path):
    table = Table(tmp_path, "labels", keys=("key",))
    table.append(frame("a"))
    table.append(frame("b"))
    part = sorted(tmp_path.rglob("part-*"))[0]
    part.write_bytes(part.read_bytes()[:40])
    assert len(table.read()) == 1


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


def test_a_second_process_is_refused_with_a_sentence(tmp_path):
    with (
        locked(tmp_path / "run"),
        pytest.raises(EvenhandError, match="in use by another process"),
        locked(tmp_path / "run"),
    ):
        pass
