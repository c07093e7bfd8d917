"""Labelling stored images: chunks, groups of the suite, and images that are already labelled."""

import io

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

from evenhand.bench.errors import EvenhandError
from evenhand.bench.stages import label as module
from evenhand.bench.stages.label import alignment, check_judge, embed_images, image_chunks, judge_images
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.images import ImageStore
from evenhand.bench.storage.tables import Table
from evenhand.metrics.judges.base import Answer, Judge, JudgeInfo

GROUPS = {"light": ("bright", "dark")}


class Brightness(Judge):
    """Tells bright from dark images."""

    def __init__(self, taxonomies=GROUPS):
        self.seen = 0
        self.info = JudgeInfo(
            name="brightness",
            version="7",
            title="Brightness",
            summary="mean",
            family="test",
            taxonomies=taxonomies,
            licence="Apache-2.0",
            origin="test",
        )

    def label(self, images):
        self.seen += len(images)
        bright = images.mean(axis=(1, 2, 3)) / 255
        shares = np.column_stack([bright, 1 - bright, np.zeros(len(images))])
        return {"light": Answer(shares, ("ok",) * len(images))}


@pytest.fixture
def store(tmp_path):
    """A bright, a dark, a broken and a wide image."""
    store = ImageStore(tmp_path / "images")
    for key, value, size, status in (
        ("bright", 230, (4, 4), "ok"),
        ("dark", 20, (4, 4), "ok"),
        ("broken", 230, (4, 4), "error"),
        ("wide", 230, (4, 8), "ok"),
    ):
        store.put(key, np.full((*size, 3), value, np.uint8), status=status)
    return store


@pytest.fixture
def table(tmp_path):
    return Table(tmp_path / "tables", "labels", keys=("key", "judge", "judge_version", "attribute"))


KEYS = ["bright", "wide", "dark", "broken"]


def judged(store, table, judge, *, keys=KEYS):
    return judged_by_all(store, table, {"brightness": judge}, {"brightness": keys})


def judged_by_all(store, table, judges, wanted):
    progress = Progress(quiet=True)
    return judge_images(judges, wanted, attributes=GROUPS, store=store, table=table, progress=progress)


def test_every_image_gets_a_row_and_a_broken_one_no_label(store, table):
    assert judged(store, table, Brightness()) == 4
    rows = table.read().set_index("key")
    assert rows["label"].to_dict() == {"bright": "bright", "wide": "bright", "dark": "dark", "broken": ""}
    assert rows["status"].to_dict() == dict.fromkeys(KEYS[:3], "ok") | {"broken": "error"}
    assert set(rows["judge_version"]) == {"7"} and set(rows["family"]) == {"test"}


def test_only_the_wanted_images_are_judged(store, table):
    judge = Brightness()
    assert judged(store, table, judge, keys=["dark", "broken"]) == 2 == judge.seen
    assert set(table.read()["key"]) == {"dark", "broken"}
    assert judged(store, table, judge, keys=[]) == 0 and judge.seen == 2


def test_an_image_is_read_and_proven_once_for_all_judges(store, table, monkeypatch):
    read, get = [], store.get
    monkeypatch.setattr(store, "get", lambda key: read.append(key) or get(key))
    judges = {name: Brightness() for name in ("one", "two", "three")}
    for name, judge in judges.items():
        judge.info = judge.info.model_copy(update={"name": name})
    wanted = {"one": KEYS, "two": ["dark", "bright"], "three": []}
    assert judged_by_all(store, table, judges, wanted) == 6
    assert sorted(read) == sorted(KEYS)
    assert {name: judge.seen for name, judge in judges.items()} == {"one": 4, "two": 2, "three": 0}
    rows = table.read()
    assert {n: set(rows.loc[rows["judge"] == n, "key"]) for n in ("one", "two")} == {
        "one": set(KEYS),
        "two": {"dark", "bright"},
    }
    assert rows.groupby("key")["label"].nunique().max() == 1, "all judges got the same pixels"


def test_images_of_different_sizes_are_in_different_chunks(store):
    chunks = {tuple(keys): (images.shape, broken) for keys, images, broken in image_chunks(KEYS, store)}
    assert chunks == {
        ("bright", "dark", "broken"): ((3, 4, 4, 3), [False, False, True]),
        ("wide",): ((1, 4, 8, 3), [False]),
    }


def test_chunks_are_bounded_by_images_and_by_bytes(store, monkeypatch):
    keys = ["bright", "dark", "bright", "dark", "bright"]
    monkeypatch.setattr(module, "CHUNK", 2)
    assert [len(chunk) for chunk, _, _ in image_chunks(keys, store)] == [2, 2, 1]
    monkeypatch.setattr(module, "CHUNK_BYTES", 1)
    assert [len(chunk) for chunk, _, _ in image_chunks(keys, store)] == [1] * 5


def test_an_image_that_disappeared_is_named(store):
    store.path("dark").unlink()
    with pytest.raises(EvenhandError, match=r"dark\.png: image was altered or removed during the run"):
        list(image_chunks(KEYS, store))


def test_a_judge_must_have_the_groups_of_the_suite_in_their_order():
    check_judge(Brightness(), GROUPS | {"other": ("a", "b")})
    with pytest.raises(EvenhandError, match=r"has none of the attributes of the suite: \['other'\]"):
        check_judge(Brightness(), {"other": ("a", "b")})
    with pytest.raises(EvenhandError, match="use the same groups in the same order"):
        check_judge(Brightness(), {"light": ("dark", "bright")})


class Scorer:
    """Embeds an image as its mean colour."""

    version = "scorer-1"

    def embed(self, images):
        return images.mean(axis=(1, 2)) / 255


def test_embeddings_are_stored_once_with_the_version_of_the_scorer(store, tmp_path):
    table = Table(tmp_path / "tables", "vectors", keys=("key", "scorer"))
    shown = io.StringIO()
    progress = Progress(Console(file=shown))
    progress.start("embed", 2)
    images = {"keys": ["bright", "dark"], "done": {"dark"}}
    assert embed_images(Scorer(), **images, store=store, table=table, progress=progress) == 1
    progress.finish()
    assert shown.getvalue() == "embed: 2 of 2, 0 s\n"
    (row,) = table.read().to_dict("records")
    assert (row["key"], row["scorer"], row["vector"].dtype) == ("bright", "scorer-1", np.float32)
    assert row["vector"] == pytest.approx([230 / 255] * 3)


def test_alignment_is_a_hundred_times_the_cosine_with_the_original_prompt():
    images = pd.DataFrame({"key": ["a", "b", "a"], "prompt": ["north", "north", "east"]})
    vectors = {"a": np.array([0.6, 0.8], np.float32), "b": np.array([0.0, -1.0], np.float32)}
    texts = {"north": [0.0, 1.0], "east": [1.0, 0.0]}
    found = alignment(images, vectors, lambda prompts: np.array([texts[each] for each in prompts]))
    assert found == pytest.approx([80, -100, 60], abs=1e-5)


def test_a_judge_that_does_not_fit_the_device_is_a_one_line_error(store, table):
    class Large(Brightness):
        def label(self, images):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has ...")

    with pytest.raises(EvenhandError) as caught:
        judged(store, table, Large())
    assert str(caught.value).startswith(
        "not enough memory to label with judge 'brightness' 3 images of 4 x 4"
    )
