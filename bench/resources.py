"""What a suite names besides the model and the judges: the scorer and the calibration table."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

from evenhand.bench import mini
from evenhand.bench.errors import EvenhandError
from evenhand.metrics.calibration import CONFUSION_COLUMNS
from evenhand.metrics.judges.weights import best_device, hub_folder
from evenhand.metrics.scorer import ClipScorer


def load_scorer(name: str) -> ClipScorer:
    """The encoder of alignment and same-seed distance: ``"mini"``, or a CLIP's transformers folder or hub id.

    Raises:
        EvenhandError: It is no CLIP, or neither on this machine nor reachable.
    """
    if name == "mini":
        return ClipScorer(folder=mini.ROOT / "clip")
    return ClipScorer(folder=hub_folder(name), device=best_device())


def load_confusion(name: str) -> pd.DataFrame:
    """Confusion counts: ``"mini"``, the path of a CSV, or ``""`` for none.

    The CSV has the columns ``judge,attributes,truth,label,count`` and may begin with a ``#`` line.

    Raises:
        EvenhandError: The file cannot be read, lacks a column, or holds a count that is not a number >= 0.
    """
    if not name:
        return pd.DataFrame(columns=list(CONFUSION_COLUMNS))
    path = mini.ROOT / "confusion.csv" if name == "mini" else Path(name)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as fault:
        raise EvenhandError(f"calibration {path} cannot be read: {fault}") from fault
    skipped = int(bool(lines) and lines[0].startswith("#"))
    rows = list(csv.DictReader(lines[skipped:]))
    for number, row in enumerate(rows, start=skipped + 2):
        if set(row) != set(CONFUSION_COLUMNS) or not _is_count(row["count"]):
            raise EvenhandError(
                f"calibration {path}, line {number}: expected {','.join(CONFUSION_COLUMNS)} with a count >= 0"
            )
    return pd.DataFrame(rows, columns=list(CONFUSION_COLUMNS)).astype({"count": float})


def _is_count(text: str | None) -> bool:
    try:
        return text is not None and 0 <= float(text) < float("inf")
    except ValueError:
        return False
