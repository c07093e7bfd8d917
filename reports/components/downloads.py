"""Files that a reader saves from a page: a CSV, inside a ZIP where it is long."""

from __future__ import annotations

import base64
import csv
import io
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

Raw = str | int | float | None

LONG = 8_000
"""Bytes from which a CSV goes into a ZIP, so that the page stays small."""


@dataclass(frozen=True)
class Download:
    """A CSV to save from the page.

    Attributes:
        name: Its file name without the ending.
        title: Its content, in words.
        csv: Its text.
    """

    name: str
    title: str
    csv: str

    @property
    def zipped(self) -> bool:
        """Whether the file is a ZIP."""
        return len(self.csv) >= LONG

    @property
    def file(self) -> str:
        """The file's name."""
        return f"{self.name}.{'zip' if self.zipped else 'csv'}"

    @property
    def rows(self) -> int:
        """Lines below the heading."""
        return max(0, sum(1 for _ in csv.reader(io.StringIO(self.csv))) - 1)

    @property
    def uri(self) -> str:
        """The file as a ``data:`` link."""
        if self.zipped:
            return _link("application/zip", _zip(f"{self.name}.csv", self.csv.encode()))
        return _link("text/csv;charset=utf-8", self.csv.encode())


def write_csv(rows: Sequence[Sequence[Raw]]) -> str:
    """CSV text whose cells a spreadsheet never evaluates as formulas.

    A text that starts like a formula gets an apostrophe in front (OWASP, CSV injection). Numbers are written
    as numbers, so they keep their minus sign.
    """
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows([[_plain(value) for value in row] for row in rows])
    return out.getvalue()


def _plain(value: Raw) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return str(value)
    return f"'{value}" if value.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else value


def _zip(name: str, content: bytes) -> bytes:
    """An archive of one file with a fixed date, so that the same content gives the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        file = zipfile.ZipInfo(name)
        archive.writestr(file, content, compress_type=zipfile.ZIP_DEFLATED, compresslevel=9)
    return out.getvalue()


def _link(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
