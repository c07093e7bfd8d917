"""The records of ``evenhand tune`` that a suite names; they set the parameters of its methods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evenhand.bench.errors import EvenhandError
from evenhand.bench.results.result import Search
from evenhand.bench.results.tuning import TuningRecord, read_tuning
from evenhand.bench.suites.tuning_config import Tuning


def tuned_parameters(
    tuning: Tuning, *, suite: str, version: str, folder: Path
) -> tuple[dict[str, dict[str, Any]], dict[str, Search]]:
    """The winning parameters of every method that has a record, and what finding them has taken.

    Args:
        tuning: The suite's protocol; its ``records`` is a folder relative to the suite's file.
        suite: Name of the suite.
        version: Version of the suite.
        folder: Folder of the suite's file.

    Raises:
        EvenhandError: The folder is missing, or a record is damaged, incomplete or of another suite.
    """
    if not tuning.records:
        return {}, {}
    place = folder / tuning.records
    if not place.is_dir():
        raise EvenhandError(f"tuning.records: no folder {place}; correct the path, or run `evenhand tune`")
    winners, searches = {}, {}
    for path in sorted(place.glob("*.json")):
        record = read_tuning(path)
        if (record.suite, record.suite_version) != (suite, version):
            raise EvenhandError(
                f"{path}: is a record of suite {record.suite!r} version {record.suite_version}, not of "
                f"{suite!r} version {version}; tune the method again"
            )
        if not record.finished or record.winner is None:
            raise EvenhandError(f"{path}: the search has no winner yet; run `evenhand tune` again to resume")
        winners[record.method] = dict(record.winner.parameters)
        searches[record.method] = _search(record)
    return winners, searches


def _search(record: TuningRecord) -> Search:
    return Search(trials=len(record.trials), passes=record.passes, record=record.digest())
