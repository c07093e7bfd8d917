"""Untrusted JSON: read as the standard library would, or rejected with the reason in one line."""

import json

import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.bench.parsing.strict_json import LARGEST, MAX_CHARACTERS, MAX_DEPTH, read_json


@pytest.fixture
def read(tmp_path):
    def call(content: str | bytes, max_bytes: int = 2**20):
        path = tmp_path / "result.json"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_json(path, max_bytes=max_bytes)

    return call


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    "value", [None, True, 1, -2.5, LARGEST, "naïve\n\t护士", [], {}, {"a": [1, {"b": "c"}], "": None}]
)
def test_a_plain_value_is_read_as_by_the_standard_library(read, value):
    assert read(json.dumps(value)) == value
    assert read(json.dumps(value, ensure_ascii=False)) == value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"a": 1, "a": 2}', "key 'a' is duplicated"),
        ("[NaN]", "NaN is not a JSON number"),
        ("[-Infinity]", "-Infinity is not a JSON number"),
        ("[1e400]", "number 1e400 is too large"),
        ("[1.1e15]", "number 1.1e15 is too large"),
        ("[1000000000000001]", "number 1000000000000001 is too large"),
        ("9" * 5000, "is too large"),
        ('["a\\u0000b"]', r"contains the character U\+0000"),
        ('["\\ud800"]', r"contains the character U\+D800"),
        ('{"a\\u202eb": 1}', r"contains the character U\+202E"),
        (json.dumps("a" * (MAX_CHARACTERS + 1)), "has more than 20,000 characters"),
        (nested(MAX_DEPTH + 1), "nested more than 24 levels deep"),
        (nested(100_000), "nested too deeply|nested more than 24 levels deep"),
        (b'["\xff"]', "utf-8"),
        ("[1, 2", "delimiter"),
        ("", "Expecting value"),
    ],
)
def test_anything_else_is_rejected_with_the_reason(read, content, reason):
    with pytest.raises(EvenhandError, match=reason) as fault:
        read(content)
    assert "result.json: cannot be read (" in str(fault.value)
    assert "\n" not in str(fault.value)


def test_the_limits_are_exact(read):
    assert read(json.dumps("a" * MAX_CHARACTERS)) == "a" * MAX_CHARACTERS
    assert read(nested(MAX_DEPTH)) == json.loads(nested(MAX_DEPTH))
    assert read("[1, 2]", max_bytes=6) == [1, 2]
    with pytest.raises(EvenhandError, match="more than 5 bytes"):
        read("[1, 2]", max_bytes=5)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(EvenhandError, match=r"no\.json: cannot be read"):
        read_json(tmp_path / "no.json", max_bytes=10)
