"""Untrusted TOML: text and value, or one error that names the line and the fix."""

import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.bench.parsing.strict_toml import MAX_BYTES, MAX_DOTS, read_toml


@pytest.fixture
def read(tmp_path):
    def call(content: str | bytes):
        path = tmp_path / "suite.toml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_toml(path, what="suite file")

    return call


def test_text_and_value_are_returned(read):
    text = 'name = "a"\n[protocol]\nsteps = 8\n'
    assert read(text) == (text, {"name": "a", "protocol": {"steps": 8}})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a = 1\nb = \n", r"suite\.toml:2: not valid TOML \(.*\); correct the suite file"),
        ("a = 1\na = 2\n", r"suite\.toml:2: not valid TOML \(Cannot overwrite a value\)"),
        ("a = " + "[" * 100_000, r"not valid TOML"),
        ("a = " + "9" * 5000, r"not valid TOML"),
        (b"a = '\xff'", r"suite file cannot be read .*; check path and encoding"),
        ("#" * (MAX_BYTES + 1), r"suite file must be at most 1 MiB; shorten it"),
        (f"a = 1\n{'.'.join('a' * (MAX_DOTS + 2))} = 1\n", r"suite\.toml:2: more than 250 dots in a line"),
    ],
)
def test_an_error_names_file_and_fix_in_one_line(read, content, message):
    with pytest.raises(EvenhandError, match=message) as fault:
        read(content)
    assert "\n" not in str(fault.value)


def test_the_limits_are_exact(read):
    key = ".".join("a" * (MAX_DOTS + 1))
    assert read(f"{key} = 1")[1].keys() == {"a"}
    assert read("#" * MAX_BYTES)[1] == {}


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(EvenhandError, match=r"no\.toml: suite file cannot be read"):
        read_toml(tmp_path / "no.toml", what="suite file")
