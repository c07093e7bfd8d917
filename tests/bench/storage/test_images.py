"""The image store returns exactly what was stored, or nothing."""

import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import PngImagePlugin

from evenhand.bench.storage.images import ImageStore, read_image

IMAGE = np.random.default_rng(0).integers(0, 256, size=(8, 8, 3), dtype=np.uint8)
KEY = "ab" * 32


@pytest.fixture
def store(tmp_path):
    store = ImageStore(tmp_path / "images")
    store.put(KEY, IMAGE)
    return store


def test_an_image_is_stored_without_loss(store):
    image, status = store.get(KEY)
    assert (image == IMAGE).all() and status == "ok"


def test_a_nonfinite_image_keeps_its_status(store):
    store.put(KEY, IMAGE, status="error")
    assert store.get(KEY)[1] == "error"


def test_images_are_stored_in_sharded_folders(store):
    assert store.path(KEY) == store.root / "ab" / f"{KEY}.png"


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 1000))
def test_a_truncated_image_counts_as_missing(tmp_path_factory, cut):
    store = ImageStore(tmp_path_factory.mktemp("store"))
    store.put(KEY, IMAGE)
    data = store.path(KEY).read_bytes()
    store.path(KEY).write_bytes(data[: min(cut, len(data) - 1)])
    assert store.get(KEY) is None


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_an_image_with_a_flipped_byte_counts_as_missing(tmp_path_factory, place, flip):
    store = ImageStore(tmp_path_factory.mktemp("store"))
    store.put(KEY, IMAGE)
    data = bytearray(store.path(KEY).read_bytes())
    data[place % len(data)] ^= flip
    store.path(KEY).write_bytes(bytes(data))
    assert store.get(KEY) is None


def test_an_image_under_another_key_counts_as_missing(store):
    other = "cd" * 32
    store.path(other).parent.mkdir(parents=True)
    shutil.copy(store.path(KEY), store.path(other))
    assert store.get(other) is None


def test_no_temporary_file_is_left(store):
    assert [path.name for path in store.root.rglob("*") if path.is_file()] == [f"{KEY}.png"]


def test_an_image_of_another_size_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    store = ImageStore(tmp_path)
    store.put("ab", np.zeros((4, 6, 3), np.uint8))
    assert read_image(store.path("ab"), key="ab", size=(6, 4))[1] == "ok"
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda self: pytest.fail("was decoded"))
    with pytest.raises(ValueError, match="it has 6 x 4 pixels in mode RGB"):
        read_image(store.path("ab"), key="ab", size=(6, 5))


def test_the_file_of_another_key_is_refused(tmp_path):
    store = ImageStore(tmp_path)
    store.put("ab", np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(ValueError, match="its key or digest does not match"):
        read_image(store.path("ab"), key="cd")
    with pytest.raises(OSError, match="file has more than 10 bytes"):
        read_image(store.path("ab"), key="ab", max_bytes=10)
