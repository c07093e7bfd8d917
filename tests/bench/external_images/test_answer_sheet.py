"""The sheet has one row per image with the answers of all judges."""

import csv
import io

import numpy as np
import pandas as pd

from evenhand.bench.external_images.answer_sheet import answer_sheet
from evenhand.metrics.table import label_rows


def labels(judge, attribute, keys, shares, status):
    return label_rows(
        keys=keys,
        judge=judge,
        version="1",
        family=judge,
        attribute=attribute,
        groups=("woman", "man"),
        probabilities=np.array(shares),
        status=status,
    )


def test_every_image_has_a_row_with_vote_answers_and_reasons():
    images = pd.DataFrame(
        {
            "file": ["a.png", "=b.png", "c.png"],
            "key": ["a", "b", "c"],
            "method": "m",
            "concept": "nurse",
            "prompt": "a nurse",
            "kind": "neutral",
            "status": ["ok", "ok", "damaged"],
        }
    )
    one = labels("x", "gender", ["a", "b"], [[0.9, 0.1, 0], [0, 0, 1]], ["ok", "no_face"])
    two = labels("y", "gender", ["a", "b"], [[0.2, 0.8, 0], [0, 0, 1]], ["ok", "no_face"])
    vote = labels("panel", "gender", ["a", "b"], [[0.55, 0.45, 0], [0, 0, 1]], ["inconsistent", "no_face"])
    rows = list(csv.DictReader(io.StringIO(answer_sheet(images, pd.concat([one, two]), vote))))
    assert list(rows[0]) == [
        *("file", "model", "concept", "prompt", "kind", "image", "gender"),
        *("gender: x", "gender: x, probability", "gender: x, status"),
        *("gender: y", "gender: y, probability", "gender: y, status"),
    ]
    assert rows[0]["gender"] == ""
    assert [rows[0][f"gender: {judge}"] for judge in "xy"] == ["woman", "man"]
    assert [rows[0][f"gender: {judge}, probability"] for judge in "xy"] == ["0.9", "0.8"]
    assert rows[1]["gender: x, status"] == "no_face" and rows[1]["file"] == "'=b.png"
    assert rows[2]["image"] == "damaged" and rows[2]["gender: x, probability"] == ""
