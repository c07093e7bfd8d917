"""The tables of an entry: what is written is read again, and nothing else is accepted."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from helpers.report import ATTRIBUTES, a_judge

from evenhand.bench.leaderboard.tables import (
    MAX_BYTES,
    Tables,
    files_of,
    first_rows,
    pixel_hash,
    read_file,
    read_images,
    read_labels,
)
from evenhand.bench.prompts.plan import make_plan
from evenhand.bench.suites.suite import load_suite

GENDER = {"gender": ATTRIBUTES["gender"]}
VIT = a_judge("vit").model_copy(update={"taxonomies": GENDER})


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture(scope="module")
def items():
    """Three planned images of people."""
    return tuple(item for item in make_plan(load_suite("mini-quick"))[0] if item.prompt.kind == "neutral")[:3]


@pytest.fixture
def own(items):
    """Tables in which the last image failed and the first two show a woman and a man."""
    images = pd.DataFrame(
        {
            "prompt_id": [item.prompt.id for item in items],
            "seed_index": [item.seed_index for item in items],
            "seed": [item.seed for item in items],
            "status": ["ok", "ok", "error"],
            "key": [sha(f"key {place}") for place in range(3)],
            "pixels": [sha("a"), sha("b"), ""],
            "alignment": [70.0, 71.0, np.nan],
            "preservation_distance": np.nan,
            "kind": "neutral",
        }
    )
    labels = pd.DataFrame(
        {
            "key": images["key"][:2],
            "judge": "vit",
            "attribute": "gender",
            "label": ["woman", "man"],
            "status": "ok",
            "probabilities": [[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]],
        }
    )
    return Tables(images, labels)


def images_of(own, items):
    data = files_of(own, taxonomy=GENDER)["images.parquet"]
    return read_images(data, items=items, method="mist", scored=True)


def test_images_are_read_as_they_were_written_with_the_prompts_of_the_plan(own, items):
    found = images_of(own, items)
    assert found["key"].tolist() == own.images["key"].tolist()
    assert found["pixels"].tolist() == own.images["pixels"].tolist()
    assert found["prompt"].tolist() == [item.prompt.text for item in items]
    assert set(found["method"]) == {"mist"}


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("seed", [1, 2, 3], "seed must be .* as in the suite, got 1 in row 0"),
        ("status", ["ok", "ok", "fine"], "status 'fine' is unknown; known: ok"),
        ("pixels", ["", sha("b"), ""], "row 0 lacks a hash of its pixels, but its status is 'ok'"),
        ("alignment", [np.nan, 71.0, np.nan], "row 0 lacks an alignment"),
        ("alignment", [70.0, 101.0, np.nan], "alignment must be between -100 and 100, got 101 in row 1"),
        ("preservation_distance", [-1.0, 0.0, np.nan], "preservation_distance must be between 0"),
    ],
)
def test_images_that_differ_from_the_plan_or_contradict_themselves_are_refused(
    own, items, column, values, message
):
    with pytest.raises(ValueError, match=message):
        images_of(Tables(own.images.assign(**{column: values}), own.labels), items)


def test_table_of_fewer_images_than_planned_is_refused(own, items):
    with pytest.raises(ValueError, match="it has 2 rows, but the suite plans 3 images"):
        images_of(Tables(own.images[:2], own.labels), items)


def labels_of(own, items, judges=(VIT,)):
    data = files_of(own, taxonomy=GENDER)["labels.parquet"]
    return read_labels(data, images=images_of(own, items), judges=judges, taxonomy=GENDER)


def test_labels_are_read_as_they_were_written(own, items):
    found = labels_of(own, items)
    columns = ["key", "judge", "attribute", "label", "status"]
    assert found[columns].to_numpy().tolist() == own.labels[columns].to_numpy().tolist()
    assert found["confidence"].tolist() == [0.9, 0.8] and set(found["judge_version"]) == {VIT.version}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda labels: labels[:1], "have no label for 1 of 2 images, first 1"),
        (lambda labels: pd.concat([labels[:1], labels[:1]]), "have duplicate labels"),
        (lambda labels: labels.assign(label="woman"), "does not match its probabilities"),
        (lambda labels: labels.assign(judge=["vit", "mine"]), "have no label for 1"),
        (lambda labels: labels.assign(probabilities=[[0.9, 1.1, 0.0]] * 2), "probabilities outside 0 to 1"),
    ],
    ids=["missing", "duplicate", "other label", "other judge", "probabilities"],
)
def test_labels_that_are_missing_or_contradict_their_probabilities_are_refused(own, items, edit, message):
    with pytest.raises(ValueError, match=message):
        labels_of(Tables(own.images, edit(own.labels).reset_index(drop=True)), items)


def test_image_that_several_rows_share_is_labelled_once_at_its_first_row():
    images = pd.DataFrame({"key": list("abab"), "kind": ["unrelated", *["neutral"] * 3], "status": "ok"})
    assert first_rows(images) == {"b": 1, "a": 2}
    assert first_rows(images.assign(status="error")) == {}


def test_hash_of_pixels_depends_on_shape_and_values_and_not_on_memory_layout():
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert pixel_hash(image) == hashlib.sha256(b"2x4x3\n" + bytes(range(24))).hexdigest()
    assert pixel_hash(np.asfortranarray(image)) == pixel_hash(image)
    assert pixel_hash(image.reshape(4, 2, 3)) != pixel_hash(image)


def test_file_must_have_its_hash_and_at_most_the_largest_size(tmp_path):
    path = tmp_path / "labels.parquet"
    path.write_bytes(b"abc")
    assert read_file(path, digest=hashlib.sha256(b"abc").hexdigest()) == b"abc"
    with pytest.raises(ValueError, match="SHA-256 differs"):
        read_file(path, digest=sha("other"))
    path.write_bytes(bytes(MAX_BYTES + 1))
    with pytest.raises(ValueError, match="more than"):
        read_file(path, digest=hashlib.sha256(bytes(MAX_BYTES + 1)).hexdigest())
