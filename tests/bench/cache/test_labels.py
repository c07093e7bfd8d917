"""Labels in a cache: what is written is read back, and nothing else is accepted."""

import hashlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers.hostile import NOT_FILES, replace, watched

from evenhand.bench.cache.labels import (
    MAX_BYTES,
    PIXELS,
    asked_of,
    complete,
    label_files,
    label_key,
    read_labels,
)
from evenhand.bench.cache.layout import Contents, label_name
from evenhand.bench.cache.places import FolderCache
from evenhand.bench.errors import EvenhandError
from evenhand.bench.parsing.strict_parquet import write_parquet
from evenhand.metrics.table import LABEL_COLUMNS, label_rows

GROUPS = ("woman", "man")
INFO = SimpleNamespace(name="vit", version="1", family="own", taxonomies={"gender": GROUPS})
JUDGE = SimpleNamespace(info=INFO)
KEYS = [f"{number:064x}" for number in range(4)]


def rows(count=4, *, probabilities=None, status=None):
    """Labels of images, one of them undetermined."""
    given = np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.4, 0.3, 0.3], [0.0, 0.0, 1.0]])[:count]
    return label_rows(
        keys=KEYS[:count],
        judge=INFO.name,
        version=INFO.version,
        family=INFO.family,
        attribute="gender",
        groups=GROUPS,
        probabilities=given if probabilities is None else probabilities,
        status=status or ["ok", "ok", "ok", "no_face"][:count],
    ).assign(**{PIXELS: [f"{number:064x}" for number in range(10, 10 + count)]})


def written(folder, data):
    """The name of a file of labels in a cache, which has its digest."""
    name = label_name(label_key(JUDGE, "gender", GROUPS), hashlib.sha256(data).hexdigest())
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return name


def read(folder, *names, keys=KEYS, size=None):
    contents = Contents.of({name: size or (folder / name).lstat().st_size for name in names})
    return read_labels(
        cache=FolderCache(folder),
        contents=contents,
        judge=JUDGE,
        attribute="gender",
        groups=GROUPS,
        keys=keys,
    )


def test_labels_read_back_the_same_and_only_those_of_the_wanted_images(tmp_path):
    (data,) = label_files(rows(), groups=2)
    name = written(tmp_path, data)
    pd.testing.assert_frame_equal(read(tmp_path, name), rows())
    assert read(tmp_path, name, keys=KEYS[:1])["key"].tolist() == KEYS[:1]
    assert [*read(tmp_path).columns] == [*LABEL_COLUMNS, PIXELS]


def test_the_same_labels_in_any_order_give_the_same_bytes():
    assert [*label_files(rows(), groups=2)] == [*label_files(rows().iloc[::-1], groups=2)]


def test_large_tables_are_split(monkeypatch, tmp_path):
    monkeypatch.setattr("evenhand.bench.cache.labels.MAX_ROWS", 3)
    names = [written(tmp_path, data) for data in label_files(rows(), groups=2)]
    assert len(names) == 2 and len(read(tmp_path, *names)) == 4


def test_the_key_depends_on_everything_that_labels_depend_on():
    def key(version="1", attribute="gender", groups=GROUPS):
        info = SimpleNamespace(name="vit", version=version)
        return label_key(SimpleNamespace(info=info), attribute, groups)

    assert len({key(), key("2"), key(attribute="age"), key(groups=GROUPS[::-1])}) == 4
    assert asked_of(JUDGE, {"age": ("adult", "older"), "gender": GROUPS}) == ["gender"]


def test_a_label_and_its_names_come_from_probabilities_and_the_judge_not_from_the_file(tmp_path):
    forged = rows().assign(label="man", judge="other", judge_version="9", confidence=1.0)
    (data,) = label_files(forged, groups=2)
    assert read(tmp_path, written(tmp_path, data))["label"].tolist() == ["woman", "man", "", ""]


def test_a_repeated_label_counts_once_and_two_different_ones_are_refused(tmp_path):
    names = [written(tmp_path, data) for part in (rows(), rows(2)) for data in label_files(part, groups=2)]
    assert len(read(tmp_path, *names)) == 4
    other = rows(1, probabilities=np.array([[0.1, 0.9, 0.0]]))
    names += [written(tmp_path, data) for data in label_files(other, groups=2)]
    with pytest.raises(EvenhandError, match="two different labels of judge 'vit'") as fault:
        read(tmp_path, *names)
    assert names[2] in str(fault.value) and str(fault.value).startswith(str(tmp_path))
    assert "delete the file that you do not trust" in str(fault.value)


def test_labels_that_differ_by_rounding_count_once_and_are_those_of_the_first_file_by_name(tmp_path):
    parts = {}
    for shift in (0.0, 1e-9, 2e-9):
        rounded = rows(1, probabilities=np.array([[0.9 + shift, 0.1 - shift, 0.0]]))
        (data,) = label_files(rounded, groups=2)
        parts[written(tmp_path, data)] = rounded
    first = parts[min(parts)]
    for names in (list(parts), list(parts)[::-1]):
        pd.testing.assert_frame_equal(read(tmp_path, *names), first, check_exact=True)


def test_labels_of_different_statuses_are_different(tmp_path):
    parts = [rows(1), rows(1, status=["no_face"])]
    names = [written(tmp_path, data) for part in parts for data in label_files(part, groups=2)]
    with pytest.raises(EvenhandError, match="two different labels of judge 'vit'"):
        read(tmp_path, *names)


def other_columns():
    return write_parquet(pd.DataFrame({"key": [b"\0" * 32]}), {"key": _binary()})


def _binary():
    import pyarrow as pa

    return pa.binary(32)


def altered(column, value):
    def make():
        part = rows()
        part[column] = [value] * len(part)
        return next(label_files(part, groups=2))

    return make


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (other_columns, "its columns are not exactly"),
        (lambda: next(label_files(rows().assign(status="fine"), groups=2)), "status 'fine' is unknown"),
        (altered("probabilities", [0.5, 1.5, 0.0]), "probabilities outside 0 to 1"),
        (altered("probabilities", [0.5, float("nan"), 0.0]), "probabilities outside 0 to 1"),
        (lambda: b"PAR1" * 20, "not a valid Parquet file"),
        (lambda: b"", "not a valid Parquet file"),
    ],
    ids=["columns", "status", "large", "nan", "damaged", "empty"],
)
def test_a_file_of_other_content_is_refused(tmp_path, make, words):
    name = written(tmp_path, make())
    with pytest.raises(EvenhandError, match=words) as fault:
        read(tmp_path, name)
    assert name in str(fault.value)


def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path):
    (data,) = label_files(rows(), groups=2)
    name = written(tmp_path, data)
    (tmp_path / name).write_bytes(next(label_files(rows(2), groups=2)))
    with pytest.raises(EvenhandError, match="its SHA-256 is not its name"):
        read(tmp_path, name)


@pytest.mark.parametrize("make", NOT_FILES.values(), ids=NOT_FILES)
def test_what_is_no_file_is_refused(tmp_path, make):
    name = label_name(label_key(JUDGE, "gender", GROUPS), KEYS[0])
    replace(tmp_path / name, make)
    with watched(), pytest.raises(EvenhandError):
        read(tmp_path, name)


def test_a_large_file_is_refused_by_its_size_before_it_is_fetched(tmp_path, monkeypatch):
    (data,) = label_files(rows(), groups=2)
    monkeypatch.setattr(FolderCache, "fetch", lambda self, names: pytest.fail("was fetched"))
    with pytest.raises(EvenhandError, match="in the cache has 67,108,865 bytes"):
        read(tmp_path, written(tmp_path, data), size=MAX_BYTES + 1)


def test_labels_count_only_if_the_judge_labels_all_its_attributes():
    ages = rows(2).assign(attribute="age")
    both = pd.concat([rows(), ages], ignore_index=True)
    assert complete(both, asked=["gender", "age"])["key"].value_counts().to_dict() == dict.fromkeys(
        KEYS[:2], 2
    )
    other_pixels = pd.concat([rows(1), ages.iloc[:1].assign(**{PIXELS: "ff" * 32})], ignore_index=True)
    assert len(complete(other_pixels, asked=["gender", "age"])) == 0
