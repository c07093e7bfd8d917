"""The public board: entries in, ``leaderboard.md`` out. Ranks are made anew from the entries' own rows."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError
from evenhand.bench.result import BoardRow, Entry, EstimateRow, Result
from evenhand.bench.store import write_atomically
from evenhand.bench.workspace import load_run
from evenhand.metrics.uncertainty import rank_sets
from evenhand.reports.board import front_pictures, render_leaderboard
from evenhand.reports.gates import gates
from evenhand.reports.published import ENTRY_FILE, entry_name, load_entries, version_key
from evenhand.reports.reading import BASE, PRIMARY_METRIC, Key, Reading, primary_key
from evenhand.reports.strength import ranked

DRAWS = 5000
"""Bootstrap draws of the board's rank sets."""

PICTURES = "fronts"
"""Folder of the board's pictures, beside that of the entries."""


def submit(run: Path, entries: Path) -> list[Path]:
    """Write every result of a finished run as an entry of the board; returns the folders written.

    Raises:
        EvenhandError: The folder is not a finished run, or that of an audit.
    """
    loaded = load_run(run)
    if loaded.results[0].spec.made_elsewhere:
        raise EvenhandError(f"{run} is an audit of pictures made elsewhere; the board takes runs of suites")
    timings = {timing.method: timing for timing in loaded.timings}
    written = []
    for result in loaded.results:
        path = entries / entry_name(result)
        entry = Entry(result=published(result), timing=timings.get(result.spec.method.label))
        write_atomically(path / ENTRY_FILE, entry.to_json().encode())
        written.append(path)
    return written


def check(entries: Path) -> list[Entry]:
    """The entries, if all of them are valid and each suite has its base model.

    Raises:
        EvenhandError: As :func:`evenhand.reports.published.load_entries`, or a suite lacks the base model.
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
    """Render the leaderboard and its pictures from the entries; these go to ``fronts`` beside the entries.

    Args:
        entries: Folder of the entries.
        out: The Markdown file.
        check: Compare with the file instead of writing it.

    Raises:
        EvenhandError: An entry is not valid, or, with ``check``, the file is not what would be written.
    """
    rows, folder = board_rows(entries), entries.parent / PICTURES
    here = Path(os.path.relpath(folder, out.parent)).as_posix()
    text, pictures = render_leaderboard(rows, pictures=here), front_pictures(rows)
    if not check:
        for name, picture in pictures.items():
            write_atomically(folder / name, picture.encode())
        write_atomically(out, text.encode())
        return
    stale = [
        folder / name for name, picture in pictures.items() if not _shows_the_same(folder / name, picture)
    ]
    if not out.is_file() or out.read_text(encoding="utf-8") != text:
        stale.insert(0, out)
    if stale:
        raise EvenhandError(
            f"{stale[0]} is not what the entries give; run `evenhand board build` and commit it"
        )


def board_rows(entries: Path) -> list[BoardRow]:
    """Every entry with the gates it fails and, if it is ranked, its rank set, suite by suite.

    Ranked is one setting of each method, and only where it passes every gate; the ranks are those among
    the ranked.
    """
    rows = []
    for group in _groups(check(entries)):
        base = next(entry.result for entry in group if entry.result.spec.method.name == BASE)
        failed = {entry.result.spec.method.label: gates(entry.result, base) for entry in group}
        own = set(ranked([entry.result.spec.method for entry in group]))
        standing = [
            entry.result
            for entry in group
            if (label := entry.result.spec.method.label) in own and not failed[label]
        ]
        sets = _ranks([entry.result for entry in group], standing)
        rows += [_row(entry, failed, sets) for entry in group]
    return rows


class _RankSet(NamedTuple):
    """Where a method may stand among the ranked."""

    low: int
    high: int
    tie: str


def _row(entry: Entry, failed: Mapping[str, list[str]], sets: Mapping[str, _RankSet]) -> BoardRow:
    label = entry.result.spec.method.label
    rank = sets.get(label)
    return BoardRow(
        result=entry.result,
        timing=entry.timing,
        rank_low=rank.low if rank else None,
        rank_high=rank.high if rank else None,
        tie_group=rank.tie if rank else "",
        failed_gates=failed[label],
    )


def _shows_the_same(path: Path, picture: str) -> bool:
    """Whether the file shows the same numbers: its opening tag states them, its drawing may differ."""
    if not path.is_file():
        return False
    return path.read_text(encoding="utf-8").split(">", 1)[0] == picture.split(">", 1)[0]


def published(result: Result) -> Result:
    """What the board needs of a result: an entry stays below a megabyte.

    Left out are the rows of single concepts except those that the board ranks by, those of single judges
    and what lies between judges except for the primary metric, comparisons of single groups, and ranks,
    which the board makes anew. The run's own results have all of them.
    """
    return result.model_copy(
        update={
            "estimates": [row for row in result.estimates if _is_needed(row, result.spec.primary)],
            "comparisons": [row for row in result.comparisons if not row.group],
            "ranks": [],
            "steering": [row for row in result.steering if row.metric == PRIMARY_METRIC],
            "spreads": [row for row in result.spreads if row.metric == PRIMARY_METRIC],
        }
    )


def _is_needed(row: EstimateRow, primary: str) -> bool:
    if row.concept:
        ranks = row.metric == "squared_deviation" and row.judge == "panel"
        return ranks and row.attributes in (primary or row.attributes,)
    return row.judge in ("panel", "") or (row.metric == PRIMARY_METRIC and not row.group)


def _groups(entries: list[Entry]) -> list[list[Entry]]:
    """Entries that may stand in one ranking."""

    def key(entry: Entry) -> str:
        return version_key(entry.result)

    return [list(group) for _, group in groupby(sorted(entries, key=key), key=key)]


def _ranks(every: Sequence[Result], standing: Sequence[Result]) -> dict[str, _RankSet]:
    """Rank sets of ``standing`` by the primary metric, from draws over concepts that all methods share.

    The metric is one that ``every`` result has, so that a row's number is the one it is ranked by. RMSDelta
    orders methods as the mean over concepts of its squared deviation does, and that mean's bootstrap over
    concepts is paired, since the rows of all methods are of the same prompts and noise.
    """
    key = primary_key([Reading.of(result) for result in every])
    if key is None:
        raise EvenhandError(
            f"no entry of suite {every[0].spec.suite!r} has its primary metric; submit it again"
        )
    table = np.array([_by_concept(Reading.of(result), key) for result in standing])
    picks = np.random.default_rng(0).integers(table.shape[1], size=(DRAWS, table.shape[1]))
    sets = rank_sets(table.mean(axis=1), table[:, picks].mean(axis=2).T)
    return {
        result.spec.method.label: _RankSet(int(sets.low[place]), int(sets.high[place]), sets.tie[place])
        for place, result in enumerate(standing)
    }


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
