"""An image that was found valid is not decoded again unless its file changed."""

import os
import shutil

import numpy as np
import pytest

from evenhand.bench.storage.images import INDEX, ImageStore

IMAGE = np.random.default_rng(0).integers(0, 256, size=(8, 8, 3), dtype=np.uint8)
KEYS = [f"{number:02x}" * 32 for number in range(4)]


class Watched(ImageStore):
    """Counts the images that are decoded."""

    decoded = 0

    def get(self, key):
        self.decoded += 1
        return super().get(key)


@pytest.fixture
def root(tmp_path):
    store = ImageStore(tmp_path / "images")
    for key in KEYS[:3]:
        store.put(key, IMAGE, status="error" if key == KEYS[1] else "ok")
    return store.root


ALL = dict(zip(KEYS[:3], ("ok", "error", "ok"), strict=True))


def test_an_image_is_decoded_once_and_not_again_by_the_next_process(root):
    first, second = Watched(root), Watched(root)
    assert first.statuses(KEYS) == ALL and first.decoded == 3
    assert second.statuses(KEYS) == ALL and second.decoded == 0


def test_images_the_run_remembers_are_not_checked_again(root):
    ImageStore(root).remember(ALL)
    store = Watched(root)
    assert store.statuses(KEYS) == ALL and store.decoded == 0


def test_an_altered_file_with_restored_size_and_date_counts_as_missing(root):
    store = ImageStore(root)
    store.statuses(KEYS)
    path = store.path(KEYS[0])
    before, data = path.stat(), bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(bytes(data))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert KEYS[0] not in ImageStore(root).statuses(KEYS)


def test_another_image_in_its_place_counts_as_missing(root):
    store = ImageStore(root)
    store.statuses(KEYS)
    shutil.copy(store.path(KEYS[2]), store.path(KEYS[0]))
    assert ImageStore(root).statuses(KEYS) == {key: ALL[key] for key in KEYS[1:3]}


@pytest.mark.parametrize("damage", [b"", b"\xff\x00 nonsense\n\n;", b"\n".join([b"x" * 90] * 3)])
def test_a_damaged_index_only_causes_another_check(root, damage):
    ImageStore(root).statuses(KEYS)
    (root / INDEX).write_bytes(damage)
    store = Watched(root)
    assert store.statuses(KEYS) == ALL and store.decoded == 3


def test_an_incomplete_last_line_is_ignored_and_the_next_line_is_read(root):
    ImageStore(root).statuses(KEYS)
    whole = (root / INDEX).read_bytes()
    (root / INDEX).write_bytes(whole[:-3])
    store = Watched(root)
    assert store.statuses(KEYS) == ALL and store.decoded == 1
    again = Watched(root)
    assert again.statuses(KEYS) == ALL and again.decoded == 0
