"""Builds ``leaderboard.md`` from the entries. Ranks are recomputed from the results in the entries."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.check import Checked, valid_entries
from evenhand.bench.policy.bands import band
from evenhand.bench.policy.gates import Gate, gate_outcomes
from evenhand.bench.policy.strength import ranked
from evenhand.bench.results.entry import BoardRow, entry_name, version_key
from evenhand.bench.results.lookup import Key, Reading, primary_key
from evenhand.bench.results.result import BASE, Result
from evenhand.bench.storage.files import write_atomically
from evenhand.metrics.statistics.uncertainty import rank_sets
from evenhand.reports.leaderboard.markdown import front_images, render_leaderboard

DRAWS = 5000
"""Number of bootstrap draws for rank sets."""

IMAGES = "fronts"
"""Folder of the images of the leaderboard, beside the folder of the entries."""


def build(entries: Path, out: Path, *, check: bool = False) -> None:
    """Render the leaderboard from the entries; its images go to ``fronts`` beside the entries.

    Args:
        entries: Folder of the entries.
        out: The Markdown file.
        check: Whether to compare with the existing file instead of writing it.

    Raises:
        EvenhandError: An entry is not valid, or with ``check`` a file is out of date.
    """
    rows, folder = board_rows(entries), entries.parent / IMAGES
    here = Path(os.path.relpath(folder, out.parent)).as_posix()
    text, images = render_leaderboard(rows, images=here), front_images(rows)
    if not check:
        for name, image in images.items():
            write_atomically(folder / name, image.encode())
        write_atomically(out, text.encode())
        return
    stale = [folder / name for name, image in images.items() if not _shows_the_same(folder / name, image)]
    if not out.is_file() or out.read_text(encoding="utf-8") != text:
        stale.insert(0, out)
    if stale:
        raise EvenhandError(f"{stale[0]} is out of date; run `evenhand board build` and commit it")


def board_rows(entries: Path) -> list[BoardRow]:
    """All entries by suite, with the gates that they do not pass and the rank sets of those that are ranked.

    One setting of each method is ranked if it passes all gates; ranks are among ranked entries only.
    """
    rows = []
    for group in _groups(valid_entries(entries)):
        results = [one.entry.result for one in group]
        base = next(result for result in results if result.spec.method.name == BASE)
        outcomes = {result.spec.method.label: gate_outcomes(result, base) for result in results}
        representatives = set(ranked([result.spec.method for result in results]))
        eligible = [
            result
            for result in results
            if (label := result.spec.method.label) in representatives and band(outcomes[label]) == "ranked"
        ]
        sets = _ranks(results, eligible)
        rows += [_row(one, outcomes, sets) for one in group]
    return rows


class _RankSet(NamedTuple):
    """The ranks that a method may have among the ranked ones, and its tie group."""

    low: int
    high: int
    tie: str


def _row(one: Checked, outcomes: Mapping[str, list[Gate]], sets: Mapping[str, _RankSet]) -> BoardRow:
    label = one.entry.result.spec.method.label
    gates, rank = outcomes[label], sets.get(label)
    return BoardRow(
        result=one.entry.result,
        timing=one.entry.timing,
        evidence=one.evidence,
        verification=one.verification,
        rank_low=rank.low if rank else None,
        rank_high=rank.high if rank else None,
        tie_group=rank.tie if rank else "",
        band=band(gates),
        failed_gates=[gate.reason for gate in gates if gate.status != "passed"],
    )


def _shows_the_same(path: Path, image: str) -> bool:
    """Whether the file shows the same numbers, which are in its opening tag; the drawing may differ."""
    if not path.is_file():
        return False
    return path.read_text(encoding="utf-8").split(">", 1)[0] == image.split(">", 1)[0]


def _groups(entries: Sequence[Checked]) -> list[list[Checked]]:
    """The entries, grouped by ranking."""

    def key(one: Checked) -> str:
        return version_key(one.entry.result)

    return [list(group) for _, group in groupby(sorted(entries, key=key), key=key)]


def _ranks(every: Sequence[Result], eligible: Sequence[Result]) -> dict[str, _RankSet]:
    """Rank sets of ``eligible`` by the primary metric, from a paired bootstrap over concepts.

    The metric is one that ``every`` result has, so that methods are ranked by the number that is shown.
    RMSDelta orders methods like the mean squared deviation over concepts. The bootstrap over concepts is
    paired, since all methods have the same prompts and noise.
    """
    key = primary_key([Reading.of(result) for result in every])
    if key is None:
        raise EvenhandError(
            f"no entry of suite {every[0].spec.suite!r} has the primary metric; submit the run again"
        )
    table = np.array([_by_concept(Reading.of(result), key) for result in eligible])
    picks = np.random.default_rng(0).integers(table.shape[1], size=(DRAWS, table.shape[1]))
    sets = rank_sets(table.mean(axis=1), table[:, picks].mean(axis=2).T)
    return {
        result.spec.method.label: _RankSet(int(sets.low[place]), int(sets.high[place]), sets.tie[place])
        for place, result in enumerate(eligible)
    }


def _by_concept(reading: Reading, key: Key) -> NDArray[np.float64]:
    """The squared deviation of every concept, with the judge and correction of ``key``."""
    by_concept = key._replace(metric="squared_deviation")
    rows = {name: reading.at(by_concept._replace(concept=name)) for name in reading.result.spec.concepts}
    missing = [name for name, row in rows.items() if row is None or not np.isfinite(row.value)]
    if missing:
        raise EvenhandError(
            f"entry {entry_name(reading.result)} has no squared deviation of {missing[0]!r}; "
            "submit the complete run"
        )
    return np.array([row.value for row in rows.values() if row is not None])
