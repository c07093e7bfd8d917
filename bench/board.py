"""The public board: entries in, ``leaderboard.md`` out. Ranks are made anew from the entries' own rows."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError
from evenhand.bench.result import BoardRow, Entry, Result
from evenhand.bench.store import write_atomically
from evenhand.bench.workspace import load_run
from evenhand.metrics.uncertainty import RankSets, rank_sets
from evenhand.reports.board import entry_name, load_entries, render_leaderboard, version_key
from evenhand.reports.gates import gates
from evenhand.reports.reading import BASE, Key, Reading, primary_key

DRAWS = 5000
"""Bootstrap draws of the board's rank sets."""


def submit(run: Path, entries: Path) -> list[Path]:
    """Write every result of a finished run as an entry of the board; returns the files written.

    Raises:
        EvenhandError: The folder is not a finished run.
    """
    loaded = load_run(run)
    timings = {timing.method: timing for timing in loaded.timings}
    written = []
    for result in loaded.results:
        path = entries / entry_name(result)
        entry = Entry(result=result, timing=timings.get(result.spec.method.label))
        write_atomically(path, entry.to_json().encode())
        written.append(path)
    return written


def check(entries: Path) -> list[Entry]:
    """The entries, if all of them are valid and each suite has its base model.

    Raises:
        EvenhandError: As :func:`evenhand.reports.board.load_entries`, or a suite lacks the base model.
    """
    loaded = load_entries(entries)
    for group in _groups(loaded):
        if not any(entry.result.spec.method.name == BASE for entry in group):
            spec = group[0].result.spec
            raise EvenhandError(
                f"suite {spec.suite!r} version {spec.suite_version} has entries but none of the base model; "
                "submit the whole run"
            )
    return loaded


def build(entries: Path, out: Path, *, check: bool = False) -> None:
    """Render the leaderboard from the entries.

    Args:
        entries: Folder of the entries.
        out: The Markdown file.
        check: Compare with the file instead of writing it.

    Raises:
        EvenhandError: An entry is not valid, or, with ``check``, the file is not what would be written.
    """
    text = render_leaderboard(board_rows(entries))
    if not check:
        write_atomically(out, text.encode())
    elif not out.is_file() or out.read_text(encoding="utf-8") != text:
        raise EvenhandError(f"{out} is not what the entries give; run `evenhand board build` and commit it")


def board_rows(entries: Path) -> list[BoardRow]:
    """Every entry with its rank set and the gates it fails, suite by suite."""
    rows = []
    for group in _groups(check(entries)):
        results = [entry.result for entry in group]
        base = next(result for result in results if result.spec.method.name == BASE)
        ranks = _ranks(results)
        for place, entry in enumerate(group):
            rows.append(
                BoardRow(
                    result=entry.result,
                    timing=entry.timing,
                    rank_low=int(ranks.low[place]),
                    rank_high=int(ranks.high[place]),
                    tie_group=ranks.tie[place],
                    failed_gates=gates(entry.result, base),
                )
            )
    return rows


def _groups(entries: list[Entry]) -> list[list[Entry]]:
    """Entries that may stand in one ranking."""

    def key(entry: Entry) -> str:
        return version_key(entry.result)

    return [list(group) for _, group in groupby(sorted(entries, key=key), key=key)]


def _ranks(results: list[Result]) -> RankSets:
    """Rank sets by the primary metric, from draws over concepts that all methods share.

    RMSDelta orders methods as the mean over concepts of its squared deviation does, and that mean's
    bootstrap over concepts is paired, since the rows of all methods are of the same prompts and noise.
    """
    readings = [Reading.of(result) for result in results]
    key = primary_key(readings)
    if key is None:
        raise EvenhandError(
            f"no entry of suite {results[0].spec.suite!r} has its primary metric; submit it again"
        )
    table = np.array([_by_concept(reading, key) for reading in readings])
    picks = np.random.default_rng(0).integers(table.shape[1], size=(DRAWS, table.shape[1]))
    return rank_sets(table.mean(axis=1), table[:, picks].mean(axis=2).T)


def _by_concept(reading: Reading, key: Key) -> NDArray[np.float64]:
    """The squared deviation of every concept, on the footing of ``key``."""
    wanted = key._replace(metric="squared_deviation")
    rows = {name: reading.at(wanted._replace(concept=name)) for name in reading.result.spec.concepts}
    missing = [name for name, row in rows.items() if row is None or not np.isfinite(row.value)]
    if missing:
        raise EvenhandError(
            f"entry {entry_name(reading.result)} has no squared deviation of {missing[0]!r}; "
            "submit the whole run"
        )
    return np.array([row.value for row in rows.values() if row is not None])
