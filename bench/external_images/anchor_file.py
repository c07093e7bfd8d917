"""Reads human labels of some images (anchors), with which judges are corrected and annotators checked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from evenhand.bench.errors import unknown
from evenhand.bench.parsing.strict_csv import CsvFile, show

EMPTY = ("label",)
"""Columns that may be empty; an empty label means that people could not tell."""


@dataclass(frozen=True)
class Anchors:
    """Validated anchors.

    Attributes:
        table: Columns ``key``, ``attribute``, ``label``, and ``probability`` if the file has it.
        digest: SHA-256 of the rows.
    """

    table: pd.DataFrame
    digest: str

    def remark(self) -> str:
        """A note for the result: the number of labels and images that the correction is based on."""
        known = self.table[self.table["label"] != ""]
        counts = ", ".join(
            f"{n} of {name}" for name, n in known["attribute"].value_counts(sort=False).items()
        )
        sampled = (
            "weighted by the probability of being sampled"
            if "probability" in self.table
            else "assumed to be sampled independently of the judges' labels"
        )
        return (
            f"judge errors are corrected with anchors, human labels of {known['key'].nunique()} of these "
            f"images ({counts}), {sampled}"
        )


def read_anchors(
    path: Path,
    *,
    keys: Mapping[str, str],
    taxonomy: Mapping[str, Sequence[str]],
    what: str = "anchor file",
) -> Anchors:
    """Read anchors from a CSV with ``file`` or ``key``, ``attribute``, ``label``, optional ``probability``.

    Args:
        path: The CSV.
        keys: Files to keys of all images that the judges label.
        taxonomy: Attribute to its groups.
        what: Kind of the file for messages.

    Raises:
        EvenhandError: The file is malformed or empty, or a row has an unknown image, attribute or group.
    """
    file = CsvFile(what, path)
    columns = file.columns()
    named = "key" if "key" in columns and "file" not in columns else "file"
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
                line,
                f"duplicate label for {row['attribute']} of this image, already on line {earlier}; keep one",
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
    """One row with the key of its image; raises ``ValueError`` if the row is not valid."""
    name, attribute, label = fields[named], fields["attribute"], fields["label"]
    known = keys if named == "file" else set(keys.values())
    if name not in known:
        raise ValueError(f"{named} {show(name)} is not an image of people that was judged; remove the row")
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
        raise ValueError(f"probability must be above 0 and at most 1, got {show(text)}; correct it")
