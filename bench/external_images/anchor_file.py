"""Labels that people gave to some images of an audit, from a CSV: the truth that corrects the judges."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from evenhand.bench.errors import unknown
from evenhand.bench.parsing.strict_csv import CsvFile, show

EMPTY = ("label",)
"""An empty label says that the truth could not be told."""


@dataclass(frozen=True)
class Anchors:
    """Anchors that were read and checked.

    Attributes:
        table: Columns ``key``, ``attribute``, ``label``, and ``probability`` where the file gives it.
        digest: SHA-256 of the rows.
    """

    table: pd.DataFrame
    digest: str

    def remark(self) -> str:
        """What a result says of them: how many labels of how many images the correction comes from."""
        known = self.table[self.table["label"] != ""]
        counts = ", ".join(
            f"{n} of {name}" for name, n in known["attribute"].value_counts(sort=False).items()
        )
        chosen = (
            "weighed by the chance of being chosen"
            if "probability" in self.table
            else "taken as chosen without regard to the judges' answers"
        )
        return (
            f"the judges' error is corrected from anchors, labels given to {known['key'].nunique()} of these "
            f"images ({counts}), {chosen}"
        )


def read_anchors(path: Path, *, keys: Mapping[str, str], taxonomy: Mapping[str, Sequence[str]]) -> Anchors:
    """The anchors in the CSV at ``path``: ``file`` or ``key``, ``attribute``, ``label``, ``probability``.

    Args:
        path: The CSV.
        keys: File to key of every image that the judges label.
        taxonomy: Attribute to its groups.

    Raises:
        EvenhandError: The file breaks the format, is empty, or has a row about an image, attribute or group
            that is not there.
    """
    file = CsvFile("anchor file", path)
    first = file.text().split("\n", 1)[0].split(",")
    named = "key" if "key" in first and "file" not in first else "file"
    found: dict[tuple[str, str], tuple[int, dict[str, str]]] = {}
    rows = file.rows(required=(named, "attribute", "label"), optional=("probability",), empty=EMPTY)
    for line, fields in rows:
        try:
            row = _row(fields, named=named, keys=keys, taxonomy=taxonomy)
        except ValueError as fault:
            raise file.fault(line, str(fault)) from fault
        earlier, _ = found.setdefault((row["key"], row["attribute"]), (line, row))
        if earlier != line:
            raise file.fault(
                line, f"the {row['attribute']} of this image is already on line {earlier}; keep one"
            )
    table = pd.DataFrame([row for _, row in found.values()])
    if "probability" in table:
        table["probability"] = table["probability"].astype(float)
    digest = hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()
    return Anchors(table, digest)


def _row(
    fields: Mapping[str, str],
    *,
    named: str,
    keys: Mapping[str, str],
    taxonomy: Mapping[str, Sequence[str]],
) -> dict[str, str]:
    """One row with its key; a ``ValueError`` says what is wrong with it and what to do."""
    name, attribute, label = fields[named], fields["attribute"], fields["label"]
    known = keys if named == "file" else set(keys.values())
    if name not in known:
        raise ValueError(f"{named} {show(name)} is no image of people that was judged; take the row out")
    if attribute not in taxonomy:
        raise ValueError(str(unknown("attribute", attribute, taxonomy)))
    if label and label not in taxonomy[attribute]:
        raise ValueError(str(unknown(f"group of {attribute}", label, taxonomy[attribute])))
    row = {"key": keys[name] if named == "file" else name, "attribute": attribute, "label": label}
    if "probability" in fields:
        _check_probability(fields["probability"])
        row["probability"] = fields["probability"]
    return row


def _check_probability(text: str) -> None:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise ValueError(f"probability {show(text)} is no number above 0 and at most 1; mend it")
