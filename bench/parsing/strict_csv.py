"""Reads CSV files written by users; every error names the file, the line and what to do."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evenhand.bench.errors import EvenhandError, unknown
from evenhand.bench.parsing.regular_file import TooLargeError, read_regular

MAX_BYTES = 16 * 2**20
"""Maximum size of a CSV file."""

DELIMITERS = (",", ";", "\t")

MAX_LENGTH = 1000
"""Maximum length of a field, in characters; a longer field is usually an unclosed quote."""


@dataclass(frozen=True)
class CsvFile:
    """A CSV file of a user.

    Attributes:
        what: Kind of the file for messages, such as ``"prompt file"``.
        path: Path of the file.
        data: Its content, if it is not written yet; ``None`` to read it.
    """

    what: str
    path: Path
    data: bytes | None = None

    def text(self) -> str:
        """The text of the file, with normalized line ends and without a byte-order mark.

        Raises:
            EvenhandError: The file cannot be read, is too large or is not UTF-8.
        """
        try:
            if self.data is not None and len(self.data) > MAX_BYTES:
                raise TooLargeError
            data = read_regular(self.path, max_bytes=MAX_BYTES) if self.data is None else self.data
        except TooLargeError as fault:
            raise EvenhandError(
                f"{self.path}: {self.what} must be at most {MAX_BYTES // 2**20} MiB; split it"
            ) from fault
        except (OSError, ValueError) as fault:
            raise EvenhandError(
                f"{self.path}: {self.what} cannot be read ({fault}); check the path"
            ) from fault
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if b"\0" in data:
            line = data[: data.index(b"\0")].count(b"\n") + 1
            raise self.fault(line, "NUL byte found; save the file as CSV text in UTF-8")
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as fault:
            line = fault.object[: fault.start].count(b"\n") + 1
            raise self.fault(line, f"not valid UTF-8 ({fault.reason}); save the file in UTF-8") from fault

    def records(
        self, text: str, *, lines_before: int = 0, delimiter: str = ","
    ) -> Iterator[tuple[int, list[str]]]:
        """Yield the records of ``text``, each with the line on which it starts.

        Args:
            text: The text of the file, without ``lines_before`` first lines.
            lines_before: Number of lines before ``text``.
            delimiter: The character between fields.
        """
        reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
        while True:
            line = lines_before + reader.line_num + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as fault:
                raise self.fault(line, f"not valid CSV ({fault}); quote fields as in RFC 4180") from fault
            yield line, fields

    def rows(
        self, *, required: Sequence[str], optional: Sequence[str] = (), empty: Collection[str] = ()
    ) -> list[tuple[int, dict[str, str]]]:
        """All rows with their line numbers, each row as a mapping of columns to values.

        Columns may be in any order, and separated by commas, semicolons or tabs, as spreadsheets of different
        countries write them. A first line that begins with ``#`` is a comment.

        Args:
            required: Columns that must exist.
            optional: Columns that may exist; any others are errors.
            empty: Columns that may have empty values.

        Raises:
            EvenhandError: The file has an error; the first one is reported.
        """
        line, header, records = self._parsed()
        for column in required:
            if column not in header:
                raise self.fault(
                    line, f"column {column!r} is missing in the header; it needs {','.join(required)}"
                )
        for column in header:
            if column not in (*required, *optional):
                raise self.fault(line, str(unknown("column", column, [*required, *optional])))
            if header.count(column) > 1:
                raise self.fault(line, f"column {column!r} appears twice in the header; keep one")
        found = []
        for line, fields in records:
            try:
                check_width(fields, header)
                for column, value in zip(header, fields, strict=True):
                    check_field(column, value, empty=empty)
            except ValueError as fault:
                raise self.fault(line, str(fault)) from fault
            found.append((line, dict(zip(header, fields, strict=True))))
        if not found:
            raise self.fault(line + 1, "no rows after the header; add one row per line")
        return found

    def columns(self) -> list[str]:
        """The names in the header, unchecked; see :meth:`rows`.

        Raises:
            EvenhandError: The file cannot be read, or the header is not valid CSV.
        """
        return self._parsed()[1]

    def _parsed(self) -> tuple[int, list[str], Iterator[tuple[int, list[str]]]]:
        """The line of the header, its names, and the records after it."""
        text, skipped = self.text(), 0
        if text.startswith("#"):
            text, skipped = text.partition("\n")[2], 1
        records = self.records(text, lines_before=skipped, delimiter=delimiter_of(text))
        line, header = next(records, (skipped + 1, []))
        return line, header, records

    def fault(self, line: int, text: str) -> EvenhandError:
        """The error for one line of the file."""
        return EvenhandError(f"{self.path}:{line}: {text}")


def delimiter_of(text: str) -> str:
    """The most frequent of comma, semicolon and tab in the first line; a comma if there is none.

    >>> delimiter_of("file;prompt;concept")
    ';'
    """
    head = text.partition("\n")[0]
    return max(DELIMITERS, key=head.count)


def check_width(fields: Sequence[str], header: Sequence[str]) -> None:
    """Raise ``ValueError`` if a row has more or fewer fields than the header."""
    if len(fields) != len(header):
        remedy = "quote fields that contain the separator" if fields else "remove the empty line"
        raise ValueError(f"expected {len(header)} columns as in the header, got {len(fields)}; {remedy}")


def check_field(column: str, value: str, *, empty: Collection[str]) -> None:
    """Raise ``ValueError`` if a field is not valid.

    Args:
        column: Name of the column.
        value: The value.
        empty: Columns that may have empty values.
    """
    if not value and column not in empty:
        raise ValueError(f"column {column} must not be empty; fill it in")
    if len(value) > MAX_LENGTH:
        raise ValueError(
            f"column {column} must have at most {MAX_LENGTH} characters, got {show(value)}; "
            "look for an unclosed quote"
        )
    if any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in value):
        raise ValueError(f"column {column} has a line break or control character: {show(value)}; remove it")
    if value != value.strip():
        raise ValueError(f"column {column} has leading or trailing spaces: {show(value)}; remove them")


def show(value: str) -> str:
    """A value for a message: quoted, and truncated if it is long."""
    return repr(value if len(value) <= 60 else f"{value[:60]}…")
