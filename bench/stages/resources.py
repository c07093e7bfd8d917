"""Loads the scorer and the calibration table of a suite."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from evenhand.bench import mini
from evenhand.bench.parsing.strict_csv import CsvFile, show
from evenhand.metrics.correction.calibration import CONFUSION_COLUMNS
from evenhand.metrics.judges.clip_scorer import ClipScorer
from evenhand.metrics.vision.device import best_device
from evenhand.metrics.vision.weights import hub_folder

BUNDLED = {"mini": "confusion.csv", "mini-generated": "confusion_generated.csv"}
"""Bundled calibrations to files: measured on renders, and on images that the bundled model generated."""


def load_scorer(name: str) -> ClipScorer:
    """Load the encoder for alignment and same-seed distance: ``"mini"``, or a CLIP as folder or hub id.

    Raises:
        EvenhandError: It is not a CLIP, or is neither on this machine nor reachable.
    """
    folder = mini.ROOT / "clip" if name == "mini" else hub_folder(name)
    return ClipScorer(folder=folder, device=best_device())


def load_confusion(name: str) -> pd.DataFrame:
    """Confusion counts: a calibration of :data:`BUNDLED`, the path of a CSV, or ``""`` for none.

    The CSV has the columns ``judge,attributes,truth,label,count`` and may begin with a ``#`` line.

    Raises:
        EvenhandError: The file cannot be read, lacks a column, or has a negative or invalid count.
    """
    if not name:
        return pd.DataFrame(columns=list(CONFUSION_COLUMNS))
    path = mini.ROOT / BUNDLED[name] if name in BUNDLED else Path(name)
    file = CsvFile("calibration", path)
    rows = file.rows(required=CONFUSION_COLUMNS)
    for line, row in rows:
        if not _is_count(row["count"]):
            raise file.fault(
                line, f"count must be a non-negative number, got {show(row['count'])}; correct it"
            )
    table = pd.DataFrame([row for _, row in rows], columns=list(CONFUSION_COLUMNS))
    return table.astype({"count": float})


def _is_count(text: str) -> bool:
    try:
        return 0 <= float(text) < float("inf")
    except ValueError:
        return False
