"""Tables on standard output: drawn by rich on a terminal, otherwise plain aligned text."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.box import SIMPLE_HEAD, Box
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

UNWRAPPED = 10_000
"""Line width where there is no terminal: programs read the output, so lines are not wrapped."""


def write_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a table; integer columns are right-aligned.

    Args:
        columns: Headings; all empty for a table without a header.
        rows: Cells; lists and mappings are written on one line, empty values as "-".
    """
    console = Console()
    if console.is_terminal:
        console.print(_table(columns, rows, box=SIMPLE_HEAD))
        return
    for line in plain_table(columns, rows):
        typer.echo(line)


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Lines of a table as aligned, unwrapped text; arguments as for :func:`write_table`."""
    plain = Console(width=UNWRAPPED)
    with plain.capture() as captured:
        plain.print(_table(columns, rows, box=None))
    return [line.rstrip() for line in captured.get().splitlines()]


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, box: Box | None) -> Table:
    table = Table(box=box, pad_edge=False, show_header=any(columns))
    for place, column in enumerate(columns):
        numbers = all(type(row[place]) is int for row in rows)
        table.add_column(column, justify="right" if numbers else "left")
    for row in rows:
        table.add_row(*(Text(_text(cell)) for cell in row))
    return table


def write_path(name: str, path: Path) -> None:
    """Write a path, on a terminal as a ``file://`` link to it."""
    console = Console(soft_wrap=True)
    if console.is_terminal and not console.is_dumb_terminal:
        console.print(Text.assemble(f"{name}: ", (str(path), Style(link=path.resolve().as_uri()))))
    else:
        typer.echo(f"{name}: {path}")


def write_card(card: Mapping[str, Any]) -> None:
    """Write a card: one field per line, then a table for every list of records."""
    tables = {name: value for name, value in card.items() if _is_records(value)}
    fields = [pair for name, value in card.items() if name not in tables for pair in _flat(name, value)]
    write_table(["", ""], [(name.replace("_", " "), value) for name, value in fields])
    for name, records in tables.items():
        typer.echo(f"\n{name}:")
        write_table(list(records[0]), [list(record.values()) for record in records])


def write_json(value: Any) -> None:
    """Write ``value`` as JSON; numbers that JSON lacks become null, and paths become strings."""
    typer.echo(json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(cell) for name, cell in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(cell) for cell in value]
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the value, or the values of a mapping under dotted names."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(f"{name}.{key}", item)
    else:
        yield name, value


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_text(item)}" for key, item in value.items()) or "-"
    if isinstance(value, list | tuple):
        return ", ".join('""' if item == "" else _text(item) for item in value) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value in (None, "") else str(value)
