"""Files that a reader saves from a page: CSV, BibTeX, figures; inside a ZIP where they are long."""

from __future__ import annotations

import base64
import csv
import io
import math
import zipfile
from collections.abc import Mapping, Sequence
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
            return link("application/zip", archive({f"{self.name}.csv": self.csv}))
        return link("text/csv;charset=utf-8", self.csv.encode())


@dataclass(frozen=True)
class Attachment:
    """Any other file to save from the page.

    Attributes:
        file: Its name.
        title: Its content, in words.
        uri: The file as a ``data:`` link.
    """

    file: str
    title: str
    uri: str


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


def archive(files: Mapping[str, str]) -> bytes:
    """A ZIP of text files with a fixed date, so that the same content gives the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name, content in files.items():
            file = zipfile.ZipInfo(name)
            packed.writestr(file, content.encode(), compress_type=zipfile.ZIP_DEFLATED, compresslevel=9)
    return out.getvalue()


def link(kind: str, content: bytes) -> str:
    """A file as a ``data:`` link of that media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
