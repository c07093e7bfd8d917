"""Builds ``leaderboard.md`` from the entries. Ranks are recomputed from the results in the entries."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.check import Checked, valid_entries
from evenhand.bench.leaderboard.fits import distance_of, median_fit
from evenhand.bench.leaderboard.method_facts import facts_of
from evenhand.bench.leaderboard.suite import known_suite
from evenhand.bench.leaderboard.verification.signed import MAINTAINERS
from evenhand.bench.parsing.marked_page import fill
from evenhand.bench.policy.bands import band_on_board
from evenhand.bench.policy.gates import gate_outcomes
from evenhand.bench.policy.strength import ranked
from evenhand.bench.results.entry import (
    EVIDENCES,
    Band,
    BoardRow,
    Evidence,
    FitRow,
    RankSet,
    entry_name,
    version_key,
)
from evenhand.bench.results.lookup import COMPARED_METRIC, Key, Reading, primary_key
from evenhand.bench.results.result import BASE, MethodCard, Result
from evenhand.bench.storage.files import write_atomically
from evenhand.metrics.statistics.ranking import rank_sets
from evenhand.reports.leaderboard.excerpt import render_excerpt
from evenhand.reports.leaderboard.markdown import front_images, render_leaderboard

DRAWS = 5000
"""Number of bootstrap draws for rank sets."""

IMAGES = "fronts"
"""Folder of the images of the leaderboard, beside the folder of the entries."""

EXCERPT = "board"
"""Name of the part of a page that shows the best rows."""


def build(
    entries: Path,
    out: Path,
    *,
    excerpt: Path | None = None,
    check: bool = False,
    maintainers: Path = MAINTAINERS,
) -> None:
    """Render the leaderboard from the entries; its images go to ``fronts`` beside the entries.

    Args:
        entries: Folder of the entries.
        out: The Markdown file.
        excerpt: Page that shows the best rows between ``<!-- board -->`` and ``<!-- end -->``.
        check: Whether to compare with the existing file instead of writing it.
        maintainers: Folder of the public keys of the maintainers.

    Raises:
        EvenhandError: An entry is not valid, the page has no place for the excerpt, or with ``check`` a file
            is out of date.
    """
    rows, folder = board_rows(entries, maintainers=maintainers), entries.parent / IMAGES
    pages = {out: render_leaderboard(rows, images=_link(folder, out), entries=_link(entries, out))}
    if excerpt is not None:
        pages[excerpt] = _with_excerpt(excerpt, rows)
    images = front_images(rows)
    if not check:
        for name, image in images.items():
            write_atomically(folder / name, image.encode())
        for page, text in pages.items():
            write_atomically(page, text.encode())
        return
    stale = [
        *(page for page, text in pages.items() if not _has(page, text)),
        *(folder / name for name, image in images.items() if not _shows_the_same(folder / name, image)),
    ]
    if stale:
        command = "evenhand board build" + (f" --excerpt {excerpt}" if excerpt is not None else "")
        raise EvenhandError(f"{stale[0]} is out of date; run `{command}` and commit it")


def _has(page: Path, text: str) -> bool:
    return page.is_file() and page.read_text(encoding="utf-8") == text


def _with_excerpt(page: Path, rows: Sequence[BoardRow]) -> str:
    """The text of a page with the best rows in their place."""
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    if f"<!-- {EXCERPT} -->" not in text:
        raise EvenhandError(
            f"{page}: no place for the excerpt; add <!-- {EXCERPT} --> and <!-- end --> to it"
        )
    return fill(text, **{EXCERPT: render_excerpt(rows)})


def _link(folder: Path, page: Path) -> str:
    """A folder as a link of the page."""
    return Path(os.path.relpath(folder, page.parent)).as_posix()


def board_rows(entries: Path, *, maintainers: Path = MAINTAINERS) -> list[BoardRow]:
    """All rows by suite, with the gates that they do not pass and the rank sets of those that are ranked.

    Args:
        entries: Folder of the entries.
        maintainers: Folder of the public keys of the maintainers.
    """
    return rows_of(valid_entries(entries, maintainers=maintainers))


def rows_of(entries: Sequence[Checked]) -> list[BoardRow]:
    """The rows of valid entries.

    The fits of a method are one row. One setting of each method is ranked if it passes all gates. Ranks are
    among ranked rows of the same evidence only, over all and within each track; numbers that are only
    reported are not ranked.
    """
    rows: list[BoardRow] = []
    for group in _groups(entries):
        rows += _with_ranks(_unranked_rows(group))
    return rows


@dataclass(frozen=True)
class _Shown:
    """An entry with the numbers that are published of it."""

    one: Checked
    result: Result
    base: Result
    evidence: Evidence


def _unranked_rows(group: Sequence[Checked]) -> list[BoardRow]:
    """One row for the fits of each method, without ranks."""
    results = [one.entry.result for one in group]
    base = next(result for result in results if result.spec.method.name == BASE)
    key = primary_key([Reading.of(result) for result in results])
    if key is None:
        raise EvenhandError(
            f"no entry of suite {base.spec.suite!r} has the primary metric; submit the run again"
        )
    fits: dict[str, list[Checked]] = {}
    for one in sorted(group, key=lambda one: one.entry.result.spec.method.fit):
        fits.setdefault(one.entry.result.spec.method.row, []).append(one)
    return [_row(_shown(found, base), key) for found in fits.values()]


def _shown(fits: Sequence[Checked], base: Result) -> list[_Shown]:
    """The numbers of the fits of a row: on fresh noise if every fit has them, else as submitted."""
    weakest = max((one.evidence for one in fits), key=EVIDENCES.index)
    found = []
    for one in fits:
        fresh = one.outcomes.fresh
        if weakest == EVIDENCES[0] and fresh is not None:
            found.append(_Shown(one, fresh.result, fresh.base, weakest))
        else:
            found.append(_Shown(one, one.entry.result, base, weakest))
    return found


def _row(fits: Sequence[_Shown], key: Key) -> BoardRow:
    """The row of the median of the fits of one method."""
    rows = [_fit_row(one, key) for one in fits]
    place = median_fit([row.distance for row in rows])
    shown, card = fits[place], fits[0].result.spec.method
    entry, outcomes = shown.one.entry, shown.one.outcomes
    gates, facts = gate_outcomes(shown.result, shown.base), facts_of(card)
    known = known_suite(shown.result.spec)
    own, why = _band(shown)
    return BoardRow(
        result=_as_first_fit(shown.result, card),
        timing=entry.timing,
        registered=known.registered if known else "",
        fits=rows,
        published=rows[place],
        track=facts.track,
        ours=facts.ours,
        documented=facts.documented,
        share_trained=facts.share_trained,
        nothing_to_tune=facts.nothing_to_tune,
        evidence=shown.evidence,
        verification=outcomes.verification,
        fresh=outcomes.fresh,
        source=entry.source,
        band=own,
        why=why,
        failed_gates=[gate.reason for gate in gates if gate.status != "passed"],
    )


def _fit_row(shown: _Shown, key: Key) -> FitRow:
    result = shown.result
    return FitRow(
        label=result.spec.method.label,
        entry=entry_name(result),
        distance=distance_of(result, key),
        band=_band(shown)[0],
    )


def _band(shown: _Shown) -> tuple[Band, str]:
    """The band of an entry, and why it is not ranked in a few words."""
    return band_on_board(
        gate_outcomes(shown.result, shown.base),
        evidence=shown.evidence,
        fresh=shown.one.outcomes.fresh,
        is_base=shown.result.spec.method.name == BASE,
    )


def _as_first_fit(result: Result, card: MethodCard) -> Result:
    """The result of a fit under the label that all fits share."""
    shared = {"label": card.label, "fit": 1, "fit_of": "", "other_fits": card.other_fits}
    method = result.spec.method.model_copy(update=shared)
    return result.model_copy(update={"spec": result.spec.model_copy(update={"method": method})})


def _with_ranks(rows: Sequence[BoardRow]) -> list[BoardRow]:
    """The rows of one suite with their ranks over all and within their tracks, by evidence.

    The baseline is ranked in every track and with every evidence, as the reference; its own rank within a
    track is not shown.
    """
    own = set(ranked([row.result.spec.method for row in rows]))
    eligible = [row for row in rows if row.label in own and row.band == "ranked"]
    every = [row.result for row in rows]
    overall: dict[str, RankSet] = {}
    within: dict[str, RankSet] = {}
    # The evidence of the baseline comes last, so that its rank is among its own kind.
    kinds = dict.fromkeys(row.evidence for row in sorted(eligible, key=lambda row: not row.is_base))
    for evidence in reversed(kinds):
        peers = [row for row in eligible if row.is_base or row.evidence == evidence]
        overall |= _ranks(every, peers)
        for track in {row.track for row in peers if not row.is_base}:
            within |= _ranks(every, [row for row in peers if row.is_base or row.track == track])
    return [
        row.model_copy(
            update={
                "rank": overall.get(row.label),
                "track_rank": None if row.is_base else within.get(row.label),
            }
        )
        for row in rows
    ]


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


def _ranks(every: Sequence[Result], eligible: Sequence[BoardRow]) -> dict[str, RankSet]:
    """Rank sets of ``eligible`` by the primary metric, from a paired bootstrap over concepts.

    The metric is one that ``every`` result has, so that methods are ranked by the number that is shown.
    RMSDelta orders methods like its square, a mean over concepts. The bootstrap over concepts is
    paired, since all methods have the same prompts and noise.
    """
    key = primary_key([Reading.of(result) for result in every])
    assert key is not None, "rows without a primary metric are refused before"
    table = np.array([_by_concept(Reading.of(row.result), key) for row in eligible])
    picks = np.random.default_rng(0).integers(table.shape[1], size=(DRAWS, table.shape[1]))
    sets = rank_sets(table.mean(axis=1), table[:, picks].mean(axis=2).T, clusters=table.shape[1])
    return {
        row.label: RankSet(low=int(sets.low[place]), high=int(sets.high[place]), tie=sets.tie[place])
        for place, row in enumerate(eligible)
    }


def _by_concept(reading: Reading, key: Key) -> NDArray[np.float64]:
    """The squared distance of every concept, with the judge and correction of ``key``."""
    by_concept = key._replace(metric=COMPARED_METRIC)
    rows = {name: reading.at(by_concept._replace(concept=name)) for name in reading.result.spec.concepts}
    missing = [name for name, row in rows.items() if row is None or not np.isfinite(row.value)]
    if missing:
        raise EvenhandError(
            f"entry {entry_name(reading.result)} has no squared distance of {missing[0]!r}; "
            "submit the complete run"
        )
    return np.array([row.value for row in rows.values() if row is not None])
