"""Tables as text for papers: LaTeX with booktabs, and Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from evenhand.reports.components.downloads import Attachment, archive, link
from evenhand.reports.components.tables import Cell, Row, Table

LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "−": "$-$",
    "×": r"$\times$",
    "∞": r"$\infty$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "–": "--",
    "—": "---",
    "’": "'",
    "‘": "`",
    "“": "``",
    "”": "''",
    "…": r"\ldots{}",
    "✓": r"yes",
    "✗": r"no",
}
"""Characters that LaTeX would read as commands, or that fonts of pdfLaTeX lack."""

TABLES = "tables.zip"
"""Name of the file with every table of a page; the script of the page copies from it."""

LONG = 24
"""Characters from which a column is set as a paragraph, so that the table fits the page."""

NOTE = 80
"""Longest note that is set beside its value in LaTeX; a longer one is in the Markdown only."""


def tables_archive(content: Any) -> Attachment | None:
    """Every table of a page as LaTeX and Markdown in a ZIP, which is a tenth of the texts on the page.

    Args:
        content: The variables of the page; tables are found wherever they are in it.

    Returns:
        The file; ``None`` where the page has no table with rows.
    """
    tables = {table.name: table for table in _tables(content) if table.rows}
    files: dict[str, str] = {}
    for name, table in tables.items():
        files |= {f"{name}.tex": to_latex(table), f"{name}.md": to_markdown(table)}
    if not files:
        return None
    return Attachment(TABLES, "Every table as LaTeX and Markdown", link("application/zip", archive(files)))


def _tables(value: Any) -> Iterator[Table]:
    """The tables in a value: itself, or in its items or fields."""
    if isinstance(value, Table):
        yield value
    elif isinstance(value, Mapping):
        yield from (table for item in value.values() for table in _tables(item))
    elif isinstance(value, list | tuple):
        yield from (table for item in value for table in _tables(item))
    elif is_dataclass(value) and not isinstance(value, type):
        yield from (table for item in fields(value) for table in _tables(getattr(value, item.name)))


def to_latex(table: Table) -> str:
    r"""The table as LaTeX with ``booktabs`` rules: intervals below their values, notes below the table.

    It needs ``\usepackage{booktabs}`` and nothing else.
    """
    width, kinds = len(table.columns), _columns(table)
    lines = [
        r"\begin{table}",
        rf"\caption{{{latex(_sentence(table.caption, table.about))}}}",
        rf"\label{{tab:{table.name}}}",
        r"\centering\small",
        rf"\begin{{tabular}}{{{''.join(kinds)}}}",
        r"\toprule",
        rf"{' & '.join(map(latex, table.columns))} \\",
        r"\midrule",
    ]
    below = []
    for group, about, rows in table.groups:
        if group:
            lines.append(rf"\multicolumn{{{width}}}{{l}}{{\itshape {latex(group)}}} \\")
        if about:
            below.append(latex(_sentence(group, about)))
        lines += [_latex_row(row, kinds) for row in rows]
    lines += [r"\bottomrule", r"\end{tabular}"]
    if below:
        lines.append(
            rf"\par\medskip\begin{{minipage}}{{\linewidth}}\footnotesize {' '.join(below)}\end{{minipage}}"
        )
    return "\n".join([*lines, r"\end{table}", ""])


def latex(text: str) -> str:
    """Text for LaTeX, without commands in it."""
    return "".join(LATEX.get(letter, letter) for letter in text)


def _columns(table: Table) -> list[str]:
    """The column types: right for numbers, left for text and mixtures, a paragraph for long texts."""
    kinds = []
    for place in range(len(table.columns)):
        cells = [row.cells[place] for row in table.rows]
        longest = max((len(cell.text + _notes(cell)) for cell in cells if cell.kind != "number"), default=0)
        numbers = cells and all(cell.kind in ("number", "missing") for cell in cells)
        kinds.append("p{0.2\\linewidth}" if longest > LONG else "r" if numbers else "l")
    return kinds


def _latex_row(row: Row, kinds: Sequence[str]) -> str:
    return rf"{' & '.join(_latex_cell(*pair) for pair in zip(row.cells, kinds, strict=True))} \\"


def _latex_cell(cell: Cell, kind: str) -> str:
    """A value with its notes: below a number, whose first line is that of the row, and beside a text."""
    value, notes = latex(cell.text), latex(_notes(cell))
    if not notes:
        return value
    if cell.kind == "number":
        side = "r" if kind == "r" else "l"
        return rf"\begin{{tabular}}[t]{{@{{}}{side}@{{}}}}{value}\\{{\scriptsize {notes}}}\end{{tabular}}"
    return rf"{value} {{\footnotesize ({notes})}}"


def _notes(cell: Cell) -> str:
    return "; ".join(note for note in cell.notes if 0 < len(note) <= NOTE)


def to_markdown(table: Table) -> str:
    """The table as Markdown with pipes; what a group of rows means stands below the table."""
    width = len(table.columns)
    kinds = ["---:" if _numeric(table.rows, place) else "---" for place in range(width)]
    heads = [_line(list(map(_markdown, table.columns))), _line(kinds)]
    lines = [f"**{_markdown(_sentence(table.caption, table.about))}**", "", *heads]
    below = []
    for group, about, rows in table.groups:
        if group:
            lines.append(_line([f"*{_markdown(group)}*", *[""] * (width - 1)]))
        if about:
            below.append(f"*{_markdown(_sentence(group, about))}*")
        lines += [_line([_markdown(_text(cell)) for cell in row.cells]) for row in rows]
    return "\n".join([*lines, *(line for text in below for line in ("", text)), ""])


def _numeric(rows: Sequence[Row], place: int) -> bool:
    return any(row.cells[place].kind == "number" for row in rows)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown(text: str) -> str:
    """Text of a Markdown cell: no line break, no column, and nothing that a renderer reads as HTML."""
    return re.sub(r"([|<>*_`\\\[\]])", r"\\\1", " ".join(text.split()))


def _text(cell: Cell) -> str:
    notes = "; ".join(note for note in cell.notes if note)
    return f"{cell.text} ({notes})" if notes else cell.text


def _sentence(caption: str, about: str) -> str:
    return f"{caption}. {about[:1].upper()}{about[1:]}." if about else f"{caption}."
