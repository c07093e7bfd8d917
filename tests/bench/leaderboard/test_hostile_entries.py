"""Malicious entries: each is rejected with a one-line reason or shown as harmless text."""

import hashlib
import html
import json
import os
import pickle
import random
import resource
import shutil
import socket
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.entry import METHODS, change, replace_file, small_entries
from helpers.site import HOSTILE

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard import build as board
from evenhand.bench.leaderboard.check import check_entries
from evenhand.bench.leaderboard.entries import load_entry
from evenhand.bench.leaderboard.site import build_site
from evenhand.bench.leaderboard.suite import known_suite
from evenhand.bench.leaderboard.tables import MAX_BYTES, read_tables
from evenhand.reports.leaderboard.markdown import render_leaderboard

pytestmark = pytest.mark.slow

BASE, MIST, RANDOM = (f"{name}@small-v1" for name in METHODS)

ROOM = 2**29
"""Bytes of address space that a reader may use beyond what is already mapped."""


class Hurt:
    """Creates a folder when it is unpickled."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (self.place,)


@pytest.fixture
def entries(tmp_path):
    return shutil.copytree(small_entries(), tmp_path / "entries")


@pytest.fixture
def little_memory():
    """Large memory allocations fail."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def reason(entries, entry=MIST):
    """The one-line error about the single invalid entry."""
    faults = [str(fault) for fault in check_entries(entries, recompute=False)[1]]
    (fault,) = faults
    assert "\n" not in fault and len(fault) < 1000 and (fault.isprintable())
    assert entry.split("@")[0] in fault
    return fault


def table_reason(entries, name, data, entry=MIST):
    """The reason why a table with a correct hash is rejected."""
    replace_file(entries / entry, name, data)
    loaded = load_entry(entries / entry)
    with pytest.raises(EvenhandError) as fault:
        read_tables(entries / entry, loaded, known_suite(loaded.result.spec))
    text = str(fault.value)
    assert "\n" not in text and len(text) < 1000 and name in text
    return text


def parquet(table, **options):
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **{"compression": "NONE", "store_schema": False, **options})
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"result__losses__0__n": 0},
        {"result__losses__0__margin": 0.0},
        {"result__losses__0__margin": "nan"},
        {"result__spec__concepts": []},
        {"result__spec__protocol__steps": "many"},
        {"result__spec__protocol__steps": 0},
        {"result__spec__protocol__guidance": [1]},
        {"result__spec__method__parameters__rounds": []},
        {"result__spec__method__label": "mist:rounds=[[["},
    ],
    ids=str,
)
def test_values_that_numbers_are_computed_from_are_checked(entries, changes):
    (place, value), file = next(iter(changes.items())), entries / MIST / "entry.json"
    document = json.loads(file.read_text())
    inside, (*path, last) = document, place.split("__")
    for name in path:
        inside = inside[int(name) if isinstance(inside, list) else name]
    inside[last] = value
    file.write_text(json.dumps(document))
    assert check_entries(entries, recompute=False)[1]


@pytest.fixture
def labels(entries):
    return pq.read_table(entries / MIST / "labels.parquet")


def every(table, value):
    """A column with the same value in all rows."""
    return pa.array([value] * len(table))


# Files


def a_link(place, target):
    place.symlink_to(target)


def a_pipe(place, _):
    os.mkfifo(place)


def a_socket(place, _):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(place))


def a_folder(place, _):
    place.mkdir()


def a_device(place, _):
    try:
        os.mknod(place, 0o020666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root makes devices")


@pytest.mark.enable_socket
@pytest.mark.parametrize("make", [a_link, a_pipe, a_socket, a_folder, a_device])
@pytest.mark.parametrize("name", ["entry.json", "labels.parquet", "verification.json", "more.txt"])
def test_only_regular_files_are_opened(entries, monkeypatch, make, name):
    (entries / MIST / name).unlink(missing_ok=True)
    monkeypatch.chdir(entries / MIST)
    make(
        entries / MIST / name if make is not a_socket else type(entries)(name), entries / BASE / "entry.json"
    )
    assert "is not a regular file" in reason(entries) or make is a_device


@pytest.mark.parametrize("target", ["/etc", "/dev/zero", "../../..", "nowhere"])
def test_an_entry_that_is_a_link_is_not_followed(entries, target):
    shutil.rmtree(entries / MIST)
    (entries / MIST).symlink_to(target)
    assert "is not an entry" in reason(entries)


@pytest.mark.parametrize(
    "name", ["run.pkl", "conftest.py", ".hidden", "entry.json.bak", "\x1b[2Jx", "a\nb", "é"]
)
def test_an_unlisted_file_is_rejected_and_not_opened(entries, tmp_path, name):
    (entries / MIST / name).write_bytes(pickle.dumps(Hurt(str(tmp_path / "hurt"))))
    assert "does not list; remove it" in reason(entries)
    assert not (tmp_path / "hurt").exists()


@pytest.mark.parametrize("name", ["entry.json", "labels.parquet", "images.parquet", "verification.json"])
def test_a_pickle_named_like_an_entry_file_is_not_unpickled(entries, tmp_path, name):
    data = pickle.dumps(Hurt(str(tmp_path / "hurt")))
    (entries / MIST / name).write_bytes(data)
    if name.endswith("parquet"):
        assert "it is not a valid Parquet file" in table_reason(entries, name, data)
    else:
        reason(entries)
    assert not (tmp_path / "hurt").exists()


@pytest.mark.parametrize(
    "name", ["../base@small-v1/labels.parquet", "/etc/passwd", "C:\\x", "labels.parquet\0", "x"]
)
def test_an_entry_cannot_list_a_file_outside_its_folder(entries, name):
    change(entries / MIST, files=lambda files: files | {name: "00" * 32})
    assert "is not valid" in reason(entries) or "U+0000" in reason(entries)


def test_a_suite_named_by_a_path_is_not_read(entries, tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr("evenhand.bench.leaderboard.suite.load_suite", lambda name: read.append(name))
    for suite in ("/etc/passwd", "../../small.toml", str(tmp_path / "suite.toml"), "small\n", ""):
        spec = load_entry(entries / BASE).result.spec.model_copy(update={"suite": suite})
        assert known_suite(spec) is None
    assert read == []


# JSON


def nested(depth):
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"result": 1, "result": 2}', "is duplicated"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ('{"a": -Infinity}', "not a JSON number"),
        ('{"a": 1e999}', "too large"),
        ('{"a": 1e16}', "too large"),
        (f'{{"a": {"9" * 900_000}}}', "too large"),
        (f'{{"a": {nested(30)}}}', "nested more than"),
        (f'{{"a": {nested(400_000)}}}', "deep"),
        (f'{{"a": "{"x" * 30_000}"}}', "characters"),
        ('{"a": "\\u202e"}', "U+202E"),
        ('{"a": "\\ud800"}', "U+D800"),
        ('{"a": "\\u0000"}', "U+0000"),
        ('{"a": "\\u001b[2J"}', "U+001B"),
        (" " * 2**21, "more than 1,048,576 bytes"),
        ('\ufeff{"a": 1}', "BOM"),
        ("", "cannot be read"),
        ("1", "got None"),
        ("null", "got None"),
        ('{"result": {"schema_version": true}}', "schema version"),
        ('{"result": {"schema_version": [1]}}', "schema version"),
    ],
)
def test_malicious_json_is_rejected_with_the_reason(entries, little_memory, text, words):
    (entries / MIST / "entry.json").write_text(text, encoding="utf-8")
    assert words in reason(entries)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1", "cp037"])
def test_other_encodings_are_rejected(entries, encoding):
    text = (entries / MIST / "entry.json").read_text().replace("mist", "m\u00efst", 1)
    (entries / MIST / "entry.json").write_bytes(text.encode(encoding, errors="replace"))
    assert "cannot be read" in reason(entries) or "is not valid" in reason(entries)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("result__cost__images", "112"),
        ("result__cost__images", 1e14),
        ("result__cost__images", -1),
        ("result__coverage__made", 10**15),
        ("result__coverage__planned", True),
        ("result__estimates", {}),
        ("result__estimates", [1]),
        ("result__estimates", [{}] * 50_000),
        ("result__spec__method__parameters", "x"),
        ("result__spec__concepts", [None]),
        ("timing", {"method": "mist", "fit_seconds": "inf"}),
        ("files", {"labels.parquet": "../x"}),
        ("files", []),
        ("result__notes", {"a": 1}),
    ],
)
def test_values_of_the_wrong_type_or_size_are_rejected(entries, place, value):
    change(entries / MIST, **{place: value})
    assert reason(entries)


@pytest.mark.parametrize("value", ["nan", 1e15])
def test_huge_or_nonfinite_numbers_do_not_match_the_labels(entries, value):
    def worse(rows):
        return [row | {"value": value} if row["metric"] == "rms_delta" else row for row in rows]

    change(entries / BASE, result__estimates=worse)
    faults = [str(fault) for fault in check_entries(entries)[1]]
    assert any("its labels give" in fault for fault in faults)


# Tables


def test_a_million_rows_are_rejected_by_their_count(entries, labels, little_memory):
    data = parquet(labels.take(np.zeros(1_000_000, dtype=int)), row_group_size=2**21)
    assert len(data) < MAX_BYTES
    assert "1,000,000 rows; at most" in table_reason(entries, "labels.parquet", data)


@pytest.mark.parametrize("codec", ["gzip", "zstd", "snappy", "brotli", "lz4"])
def test_a_decompression_bomb_is_not_unpacked(entries, labels, little_memory, codec):
    rows = labels.num_rows
    bomb = labels.set_column(4, "label", pa.array(["x" * 2**13] * rows))
    data = parquet(bomb, compression=codec, use_dictionary=False)
    assert len(data) < MAX_BYTES // 4
    assert "is compressed; write it uncompressed" in table_reason(entries, "labels.parquet", data)


@pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", None])
def test_a_value_that_expands_over_all_rows_is_not_expanded(entries, labels, little_memory, encoding):
    rows, long = labels.num_rows, "x" * 2**22
    if encoding is None:
        texts = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([long]))
        options = {}
    else:
        texts = pa.array([long[: 2**12 + row % 7] for row in range(rows)])
        options = {"use_dictionary": False, "column_encoding": {"label": encoding}}
    data = parquet(labels.set_column(4, "label", texts), **options)
    assert len(data) < MAX_BYTES, "the bomb is a small file"
    said = table_reason(entries, "labels.parquet", data)
    assert "characters; at most" in said or "not a valid Parquet file" in said


def test_a_file_above_the_size_limit_is_not_read_completely(entries, little_memory):
    with (entries / MIST / "labels.parquet").open("wb") as file:
        file.truncate(2**34)
    assert "has more than" in reason(entries)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda t: t.drop_columns(["judge"]), "columns are not exactly"),
        (lambda t: t.append_column("evil", t["judge"]), "columns are not exactly"),
        (lambda t: t.select(t.column_names[::-1]), "columns are not exactly"),
        (lambda t: t.set_column(2, "image", t["image"].cast(pa.int64())), "columns are not exactly"),
        (lambda t: t.set_column(2, "image", pa.array([[0]] * len(t))), "columns are not exactly"),
        (lambda t: t.set_column(4, "label", pa.array([b"x"] * len(t))), "columns are not exactly"),
        (lambda t: t.set_column(0, "judge", pa.nulls(len(t), pa.string())), "has empty cells"),
        (lambda t: t.set_column(0, "judge", pa.array([HOSTILE] * len(t))), "have no label for"),
        (lambda t: t.set_column(3, "status", pa.array(["fine"] * len(t))), "'fine' is unknown"),
        (lambda t: t.set_column(2, "image", pa.array([-1] * len(t), pa.int32())), "duplicate labels"),
        (lambda t: t.set_column(2, "image", pa.array([2**31 - 1] * len(t), pa.int32())), "duplicate labels"),
        (lambda t: t.slice(1), "no label for 1 of"),
        (lambda t: t.slice(0, 0), "have no label for"),
        (lambda t: pa.concat_tables([t.slice(0, 1), t.slice(0, len(t) - 1)]), "duplicate labels"),
        (
            lambda t: t.set_column(5, "cannot_tell", pa.array([float("nan")] * len(t))),
            "probabilities outside 0 to 1",
        ),
        (
            lambda t: t.set_column(5, "cannot_tell", pa.array([float("inf")] * len(t))),
            "probabilities outside 0 to 1",
        ),
        (lambda t: t.set_column(6, "p0", pa.array([-0.5] * len(t))), "probabilities outside 0 to 1"),
        (lambda t: t.set_column(6, "p0", pa.array([1e300] * len(t))), "probabilities outside 0 to 1"),
        (
            lambda t: t.set_column(4, "label", pa.array([HOSTILE] * len(t))),
            "does not match its probabilities",
        ),
    ],
)
def test_malformed_label_tables_are_rejected_with_the_reason(entries, labels, edit, words):
    assert words in table_reason(entries, "labels.parquet", parquet(edit(labels), row_group_size=2**20))


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda t: t.slice(1), "rows, but the suite plans"),
        (lambda t: t.set_column(2, "seed", pa.array([7] * len(t), pa.int64())), "as in the suite"),
        (lambda t: t.set_column(0, "prompt_id", pa.array(["../x"] * len(t))), "as in the suite"),
        (lambda t: t.set_column(6, "alignment", pa.array([float("nan")] * len(t))), "an alignment"),
        (lambda t: t.set_column(6, "alignment", pa.array([float("inf")] * len(t))), "between -100 and 100"),
        (lambda t: t.set_column(6, "alignment", pa.array([1e300] * len(t))), "between -100 and 100"),
        (lambda t: t.set_column(7, "preservation_distance", pa.array([-1.0] * len(t))), "between 0 and"),
        (lambda t: t.set_column(5, "pixels", pa.nulls(len(t), pa.binary(32))), "lacks a hash"),
    ],
)
def test_malformed_image_tables_are_rejected_with_the_reason(entries, edit, words):
    table = pq.read_table(entries / MIST / "images.parquet")
    assert words in table_reason(entries, "images.parquet", parquet(edit(table), row_group_size=2**20))


def test_too_many_groups_or_columns_and_long_footers_are_rejected(entries, labels, little_memory):
    assert "row groups" in table_reason(entries, "labels.parquet", parquet(labels, row_group_size=1))
    wide = pa.table({f"c{number}": pa.array([0], pa.int8()) for number in range(5000)})
    assert table_reason(entries, "labels.parquet", parquet(wide))
    noted = labels.replace_schema_metadata({"note": "x" * 2**20})
    assert table_reason(entries, "labels.parquet", parquet(noted, store_schema=True))


@pytest.mark.parametrize("name", ["labels.parquet", "images.parquet"])
def test_a_damaged_table_is_read_or_rejected_in_one_line(entries, name, little_memory):
    good, chance = (entries / MIST / name).read_bytes(), random.Random(5)
    loaded, path = load_entry(entries / MIST), entries / MIST / name
    known, refused = known_suite(loaded.result.spec), 0
    for _ in range(120):
        data = bytearray(good)
        # Damage in the footer, the page headers or anywhere: single bits, runs of one byte, truncation.
        for _ in range(chance.choice((1, 1, 3))):
            place = chance.choice((chance.randrange(len(data)), len(data) - 1 - chance.randrange(900)))
            data[place] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, data[place] ^ (1 << chance.randrange(8))))
        if chance.random() < 0.1:
            del data[chance.randrange(len(data)) :]
        path.write_bytes(data)
        stated = loaded.model_copy(update={"files": loaded.files | {name: hashlib.sha256(data).hexdigest()}})
        try:
            read_tables(entries / MIST, stated, known)
        except EvenhandError as fault:
            refused += 1
            assert "\n" not in str(fault) and name in str(fault)
    assert refused > 50


# Text


def test_hostile_text_on_a_card_is_escaped(entries, tmp_path):
    words, card = HOSTILE.replace("\u202e", ""), ("title", "summary", "paper", "licence", "origin")
    for entry in (BASE, MIST, RANDOM):
        changes = {f"result__spec__method__{name}": words for name in card}
        change(entries / entry, **changes, result__notes=[words], result__environment__guarantee=words)
    assert check_entries(entries, recompute=False)[1] == []
    page = render_leaderboard(board.board_rows(entries))
    assert "<script" not in page and "<img" not in page
    build_site(entries, tmp_path / "site")
    for path in (tmp_path / "site").rglob("*.html"):
        text = path.read_text()
        assert text.count("<script") == 1 and "<img src=x" not in text, path
    assert html.escape("<script>window.hurt") in (tmp_path / "site/small-v1/mist.html").read_text()


def test_all_errors_of_hostile_entries_are_listed_and_nothing_is_built(evenhand, entries, tmp_path):
    (entries / MIST / "entry.json").write_text("[" * 100_000)
    (entries / "a\nb@x").mkdir()
    (entries / "zero").symlink_to("/dev/zero")
    os.mkfifo(entries / "pipe")
    for command in (["check"], ["build", "--out", tmp_path / "board.md", "--site", tmp_path / "site"]):
        outcome = evenhand("board", *command, "--entries", entries)
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.count("\n") == (4 if command == ["check"] else 1)
    assert not (tmp_path / "board.md").exists() and not (tmp_path / "site").exists()
