"""CSV files of users: rows with their lines, or one error that names the line and the fix."""

import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.bench.parsing.strict_csv import MAX_BYTES, MAX_LENGTH, CsvFile, check_field, show


@pytest.fixture
def file(tmp_path):
    def call(content: str | bytes) -> CsvFile:
        path = tmp_path / "list.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return CsvFile("image list", path)

    return call


def test_rows_are_mappings_with_the_line_on_which_they_start(file):
    found = file('# ours\nb,a\n1,"two\nlines"\n3,4\n').records("a\n", lines_before=0)
    assert list(found) == [(1, ["a"])]
    rows = file("# ours\nb,a\n1,2\n3,4\n").rows(required=("a",), optional=("b",))
    assert rows == [(3, {"b": "1", "a": "2"}), (4, {"b": "3", "a": "4"})]


def test_a_quoted_record_counts_all_its_lines(file):
    text = '"x\ny",1\nz,2\n'
    assert list(file(text).records(text)) == [(1, ["x\ny", "1"]), (3, ["z", "2"])]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_a_byte_order_mark_make_no_difference(file, end):
    content = b"\xef\xbb\xbf" + f"a{end}1{end}".encode()
    assert file(content).rows(required=("a",)) == [(2, {"a": "1"})]


def test_empty_values_are_allowed_only_where_stated(file):
    rows = file("a,b\n1,\n").rows(required=("a", "b"), empty=("b",))
    assert rows == [(2, {"a": "1", "b": ""})]
    with pytest.raises(EvenhandError, match=r"list\.csv:2: column b must not be empty; fill it in"):
        file("a,b\n1,\n").rows(required=("a", "b"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("b\n1\n", r":1: column 'a' is missing in the header"),
        ("a,c\n1,2\n", r":1: unknown column 'c'"),
        ("a,a\n1,2\n", r":1: column 'a' appears twice"),
        ("a\n", r":2: no rows after the header"),
        ("# c\na\n", r":3: no rows after the header"),
        ("a,b\n1,2\n1,2,3\n", r":3: expected 2 columns as in the header, got 3; quote fields that contain"),
        ("a,b\n1,2\n\n", r":3: expected 2 columns as in the header, got 0; remove the empty line"),
        ('a\n"1\n', r":2: not valid CSV"),
        ("a\n1\n2\0\n", r":3: NUL byte found"),
        (b"a\n1\n\xff\n", r":3: not valid UTF-8"),
        (b"a" * (MAX_BYTES + 1), r"image list must be at most 16 MiB; split it"),
    ],
)
def test_an_error_names_file_line_and_fix(file, content, message):
    with pytest.raises(EvenhandError, match=r"list\.csv" + message if message[0] == ":" else message):
        file(content).rows(required=("a",), optional=("b",))


def test_a_missing_file_is_an_error_that_says_what_the_file_is(tmp_path):
    with pytest.raises(EvenhandError, match=r"no\.csv: image list cannot be read .*; check the path"):
        CsvFile("image list", tmp_path / "no.csv").text()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("a\u2028b", "line break or control character"),
        ("a\x07", "line break or control character"),
        (" a", "leading or trailing spaces"),
        ("a" * (MAX_LENGTH + 1), "look for an unclosed quote"),
    ],
)
def test_a_field_that_cannot_be_meant_is_rejected(value, message):
    with pytest.raises(ValueError, match=message):
        check_field("a", value, empty=())


def test_the_longest_field_and_any_script_are_accepted():
    for value in ("a" * MAX_LENGTH, "क्‍ष नर्स", "护士"):
        check_field("a", value, empty=())


def test_a_long_value_is_truncated_in_messages():
    assert show("a" * 60) == repr("a" * 60)
    assert show("a" * 61) == repr("a" * 60 + "…")
