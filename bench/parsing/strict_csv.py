"""Reading CSV files that people write: every fault is one line with the file, the line and the remedy."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evenhand.bench.errors import EvenhandError, unknown

MAX_BYTES = 16 * 2**20
"""Largest CSV that is read."""

MAX_LENGTH = 1000
"""Longest field, in characters; longer ones are as a rule an unclosed quote."""


@dataclass(frozen=True)
class CsvFile:
    """A CSV of a user.

    Attributes:
        what: What the file is to messages, such as ``"prompt file"``.
        path: Where it lies.
    """

    what: str
    path: Path

    def text(self) -> str:
        """The file's text with line feeds as line ends and without a byte-order mark.

        Raises:
            EvenhandError: It cannot be read, is too large or is not UTF-8.
        """
        try:
            with self.path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except (OSError, ValueError) as fault:
            raise EvenhandError(f"{self.what} {self.path} cannot be read: {fault}; check the path") from fault
        if len(data) > MAX_BYTES:
            raise EvenhandError(f"{self.what} {self.path} is larger than {MAX_BYTES // 2**20} MiB; split it")
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if b"\0" in data:
            line = data[: data.index(b"\0")].count(b"\n") + 1
            raise self.fault(line, "holds a NUL byte; save the file as CSV text in UTF-8")
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as fault:
            line = fault.object[: fault.start].count(b"\n") + 1
            raise self.fault(line, f"is not UTF-8 ({fault.reason}); save the file in UTF-8") from fault

    def records(self, text: str, *, lines_before: int = 0) -> Iterator[tuple[int, list[str]]]:
        """The records of ``text``, each with the line on which it starts.

        Args:
            text: The file's text, or what follows its first lines.
            lines_before: How many lines those are.
        """
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        while True:
            line = lines_before + reader.line_num + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as fault:
                raise self.fault(line, f"is not CSV ({fault}); quote fields as in RFC 4180") from fault
            yield line, fields

    def rows(
        self, *, required: Sequence[str], optional: Sequence[str] = (), empty: Collection[str] = ()
    ) -> list[tuple[int, dict[str, str]]]:
        """Every row as column to value, with its line; the header names the columns in any order.

        A first line that begins with ``#`` is a comment.

        Args:
            required: Columns that must be there.
            optional: Columns that may be there; the others are refused.
            empty: Columns that may be empty.

        Raises:
            EvenhandError: The first fault of the file.
        """
        text, skipped = self.text(), 0
        if text.startswith("#"):
            text, skipped = text.partition("\n")[2], 1
        records = self.records(text, lines_before=skipped)
        line, header = next(records, (skipped + 1, []))
        for column in required:
            if column not in header:
                raise self.fault(line, f"the header lacks column {column!r}; it needs {','.join(required)}")
        for column in header:
            if column not in (*required, *optional):
                raise self.fault(line, str(unknown("column", column, [*required, *optional])))
            if header.count(column) > 1:
                raise self.fault(line, f"the header names column {column!r} twice; keep one")
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
            raise self.fault(skipped + 2, "no row follows the header; add one a line")
        return found

    def fault(self, line: int, text: str) -> EvenhandError:
        """The error about one line of the file."""
        return EvenhandError(f"{self.what} {self.path}, line {line}: {text}")


def check_width(fields: Sequence[str], header: Sequence[str]) -> None:
    """Refuse a row with more or fewer fields than the header, by a ``ValueError``."""
    if len(fields) != len(header):
        raise ValueError(
            f"{len(fields)} columns; write the {len(header)} of the header, quoting any comma inside one"
        )


def check_field(column: str, value: str, *, empty: Collection[str]) -> None:
    """Refuse a field by a ``ValueError`` that says what is wrong with it and what to do.

    Args:
        column: Name of its column.
        value: The field.
        empty: Columns that may be empty.
    """
    if not value and column not in empty:
        raise ValueError(f"column {column} is empty; fill it in")
    if len(value) > MAX_LENGTH:
        raise ValueError(
            f"column {column} holds {show(value)}, over {MAX_LENGTH} characters; look for an open quote"
        )
    if any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in value):
        raise ValueError(f"column {column} holds {show(value)}; take the line break or control character out")
    if value != value.strip():
        raise ValueError(f"column {column} holds {show(value)}; take the spaces at its ends away")


def show(value: str) -> str:
    """A value in a message: quoted, and cut where it is long."""
    return repr(value if len(value) <= 60 else f"{value[:60]}…")
