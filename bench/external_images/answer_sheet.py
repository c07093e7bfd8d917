"""All answers of the judges of an audit as one CSV, one row per image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from evenhand.metrics.estimation.panel import PANEL
from evenhand.reports.components.downloads import Raw, write_csv

ANSWERS_FILE = "answers.csv"

FACTS = {"file": "file", "method": "model", "concept": "concept", "prompt": "prompt", "kind": "kind"}
"""Columns of the image table that the sheet begins with, and their names there."""


def answer_sheet(images: pd.DataFrame, answers: pd.DataFrame, votes: pd.DataFrame) -> str:
    """The sheet as CSV text.

    Args:
        images: The image table of the audit.
        answers: Label-table rows of the judges.
        votes: Label-table rows of the panel's vote.

    Returns:
        For each image its file, model, concept, prompt and kind; ``image``, which is ``ok`` or why the file
        is not usable; for each attribute the panel's vote, empty where the panel decides nothing; and for
        each judge of the attribute the group, its probability, and the status.
    """
    sheet = images[list(FACTS)].rename(columns=FACTS).assign(image=images["status"])
    judges = list(dict.fromkeys(answers["judge"]))
    for attribute in dict.fromkeys(votes["attribute"]):
        found = _of(votes, PANEL, str(attribute)).reindex(images["key"])
        sheet[attribute] = _texts(found["label"])
        for judge in judges:
            rows = _of(answers, str(judge), str(attribute))
            if len(rows):
                found = rows.reindex(images["key"])
                sheet[f"{attribute}: {judge}"] = _texts(found["label"])
                sheet[f"{attribute}: {judge}, probability"] = found["confidence"].astype(float).to_numpy()
                sheet[f"{attribute}: {judge}, status"] = _texts(found["status"])
    lines = [[_cell(value) for value in row] for row in sheet.itertuples(index=False, name=None)]
    return write_csv([list(map(str, sheet.columns)), *lines])


def _cell(value: object) -> Raw:
    """A value of the sheet; nothing where a probability is unknown."""
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 4)
    return str(value)


def _of(rows: pd.DataFrame, judge: str, attribute: str) -> pd.DataFrame:
    """The rows of one judge and attribute, by image key."""
    here = rows[(rows["judge"] == judge) & (rows["attribute"] == attribute)]
    return here.drop_duplicates("key", keep="last").set_index("key")


def _texts(column: pd.Series[str]) -> Sequence[str]:
    return [text if isinstance(text, str) else "" for text in column.astype(object)]
