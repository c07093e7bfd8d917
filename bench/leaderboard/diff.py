"""What a submission changes on the leaderboard: rows added, removed, and changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from evenhand.bench.leaderboard.build import board_rows
from evenhand.bench.leaderboard.verification.signed import MAINTAINERS
from evenhand.bench.results.entry import BoardRow, version_key
from evenhand.bench.results.text import number
from evenhand.reports.leaderboard.row_facts import verdict


def board_diff(published: Path, submitted: Path, *, maintainers: Path = MAINTAINERS) -> list[str]:
    """One line for every row that differs between two folders of entries, sorted by suite and method.

    Args:
        published: Folder of the published entries.
        submitted: The same folder with the submission.
        maintainers: Folder of the public keys of the maintainers.

    Raises:
        EvenhandError: An entry is not valid.
    """
    before, after = (board_rows(folder, maintainers=maintainers) for folder in (published, submitted))
    return diff_lines(before, after)


def diff_lines(before: Sequence[BoardRow], after: Sequence[BoardRow]) -> list[str]:
    """One line for every row that differs.

    Args:
        before: The rows of the leaderboard.
        after: Its rows with the submission.
    """
    return list(_lines(before, after))


def _lines(before: Sequence[BoardRow], after: Sequence[BoardRow]) -> Iterator[str]:
    old, new = ({_place(row): row for row in rows} for rows in (before, after))
    for place in sorted({*old, *new}):
        row = new.get(place) or old[place]
        spec = row.result.spec
        name = f"{row.label} on {spec.suite} version {spec.suite_version}"
        if place not in new:
            yield f"removed: {name}: {_facts(row)}"
        elif place not in old:
            yield f"added: {name}: {_facts(row)}"
        elif (was := _facts(old[place])) != _facts(row):
            yield f"changed: {name}: {was}, now {_facts(row)}"


def _place(row: BoardRow) -> tuple[str, str]:
    return version_key(row.result), row.label


def _facts(row: BoardRow) -> str:
    distance = number(row.published.distance) if row.published else "not measured"
    return f"{verdict(row)}; distance {distance}; {row.evidence}"
