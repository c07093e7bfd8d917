"""Tables and files of annotations."""

import numpy as np
import pandas as pd

from evenhand.metrics.annotation.answers import ANSWER_COLUMNS, check_answers
from evenhand.metrics.annotation.readers import read_answers


def table_of(rows, attribute="gender"):
    """An answer table from ``(image, annotator, label)`` and perhaps further columns."""
    defaults = {"attribute": attribute, "n_people": "one", "is_repeat": False, "is_gold": False}
    frame = pd.DataFrame([defaults | row for row in rows])
    table = frame.reindex(columns=["key", *ANSWER_COLUMNS])
    return table.assign(seconds=np.nan, form_version="", batch_id="", timestamp="")


def said(annotator, labels, **facts):
    """One annotator's labels of images ``k00``, ``k01``, …; ``None`` for no answer."""
    return [
        {"key": f"k{number:02d}", "annotator_id": annotator, "label": label, **facts}
        for number, label in enumerate(labels)
        if label
    ]


def flip(label):
    return {"woman": "man", "man": "woman"}[label]


TRUTH = ["woman", "man"] * 15


def three_and_one(odd):
    """Three good annotators and one more."""
    good = [row for name in ("ann", "bo", "cy") for row in said(name, TRUTH)]
    return table_of([*good, *said("odd", odd)])


TAXONOMY = {
    "gender": ("woman", "man"),
    "race4": ("WMELH", "Black", "Indian", "Asian"),
    "age": ("adult", "older"),
}
KNOWN = {f"p{number}": f"key{number}" for number in range(40)}
HEADER = "image_id,annotator_id,attribute,label"


def reader(folder):
    """Reads and checks a file of a given text, about images ``p0`` to ``p39``."""

    def read(text, *, name="ann.csv", layout=None, **rules):
        path = folder / name
        path.write_text(text, encoding="utf-8")
        return check_answers(read_answers(path, layout=layout), known=KNOWN, taxonomy=TAXONOMY, **rules)

    return read


def labels(found):
    """(image, annotator, attribute, label) of every row."""
    columns = ["key", "annotator_id", "attribute", "label"]
    return [tuple(row) for row in found.table[columns].itertuples(index=False)]
