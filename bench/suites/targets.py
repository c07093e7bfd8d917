"""Desired shares other than even ones: labour statistics, a model's own shares, or a user's own table.

A table gives, for a concept and an attribute, the share of every group; the concept ``*`` stands for every
concept without shares of its own. Attributes that a table does not name aim at even shares, and attributes
are independent: the share of a joint cell is the product of the shares of its groups.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import cache, reduce
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError, unknown
from evenhand.bench.parsing.strict_csv import CsvFile
from evenhand.bench.results.result import Result

UNIFORM, LABOUR = "uniform", "labour"

ANY = "*"
"""The concept that stands for all that a table does not name."""

Table = dict[str, dict[str, dict[str, float]]]
"""Concept to attribute to group to share."""

COLUMNS = ("concept", "attribute", "group", "share")

TOLERANCE = 1e-6
"""How far the shares of one concept and attribute may be from one in sum."""

_OCCUPATIONS = Path(__file__).parents[1] / "prompts" / "sources" / "winobias_occupations.csv"


def read_table(path: Path) -> Table:
    """The table of a CSV ``concept,attribute,group,share``; it may begin with a ``#`` line.

    A path that ends in ``.json`` is a result: see :func:`drawn_table`.

    Raises:
        EvenhandError: The file cannot be read, or a line is not what it should be.
    """
    if path.suffix == ".json":
        return drawn_table(Result.load(path))
    if not path.is_file():
        raise EvenhandError(
            f"target {str(path)!r} is neither {UNIFORM!r} nor {LABOUR!r} nor a file; give one of them"
        )
    file = CsvFile("target", path)
    table: Table = {}
    for line, row in file.rows(required=COLUMNS):
        groups = table.setdefault(row["concept"], {}).setdefault(row["attribute"], {})
        if row["group"] in groups:
            raise file.fault(line, f"{row['concept']!r} has {row['group']!r} twice; keep one")
        try:
            groups[row["group"]] = float(row["share"])
        except ValueError as fault:
            raise file.fault(line, f"share {row['share']!r} is not a number; write 0.25 for 25 %") from fault
    return table


def drawn_table(result: Result) -> Table:
    """Shares that a result's method drew on neutral prompts, by the panel: those of the base model, mostly.

    Distances from them say how far a method moved the model, wanted or not. They are estimates: the sampling
    error of this target is in no interval and no floor. Corrected shares are taken where the result has them.

    Raises:
        EvenhandError: The result has no shares by concept, or none for one of its concepts.
    """
    rows = [
        row
        for row in result.estimates
        if (row.metric, row.kind, row.judge) == ("share", "neutral", "panel")
        and row.concept
        and row.attributes in result.spec.attributes
    ]
    corrected = {row.attributes for row in rows if row.corrected}
    table: Table = {}
    for row in rows:
        if row.corrected != (row.attributes in corrected):
            continue
        if math.isnan(row.value):
            raise EvenhandError(
                f"the result of {result.spec.method.label!r} has no {row.attributes} share of "
                f"{row.concept!r}; draw more images of it or leave it out"
            )
        table.setdefault(row.concept, {}).setdefault(row.attributes, {})[row.group] = row.value
    if not table:
        raise EvenhandError(
            f"the result of {result.spec.method.label!r} has no shares by concept; take one of a run"
        )
    return table


@cache
def labour_table() -> Table:
    """Share of women among the employed of each WinoBias occupation, United States, annual average 2022.

    Source: Bureau of Labor Statistics, Current Population Survey, table 11. The title that belongs to an
    occupation is our own judgement; where it matches loosely (attendant, assistant, supervisor) the share is
    the one that WinoBias prints for the word itself.
    """
    with _OCCUPATIONS.open(encoding="utf-8", newline="") as file:
        next(file)  # names source and licence
        rows = list(csv.DictReader(file))
    table: Table = {}
    for row in rows:
        loose = row["bls_match_quality"] == "low"
        women = round(float(row["winobias_pct_female" if loose else "bls2022_pct_women"]) / 100, 4)
        table[row["occupation"]] = {"gender": {"woman": women, "man": round(1 - women, 4)}}
    return table


def table_of(target: str | Table) -> Table:
    """The table behind a suite's ``target``; empty for even shares."""
    if isinstance(target, str):
        return labour_table() if target == LABOUR else {}
    return target


def check_table(table: Table, taxonomy: Mapping[str, Sequence[str]]) -> None:
    """Refuse a table that does not fit the attributes of a suite.

    Args:
        table: The table.
        taxonomy: Attribute to its groups.

    Raises:
        EvenhandError: An attribute or group is unknown, a group lacks, or shares are no distribution.
    """
    for concept, attributes in table.items():
        for attribute, shares in attributes.items():
            if attribute not in taxonomy:
                raise unknown(f"attribute of the target of {concept!r}", attribute, taxonomy)
            groups = taxonomy[attribute]
            for group in shares:
                if group not in groups:
                    raise unknown(f"group of the target of {concept!r}", group, groups)
            for group in groups:
                if group not in shares:
                    raise EvenhandError(
                        f"the target of {concept!r} gives no share of {attribute} {group!r}; "
                        "give one, 0 for none"
                    )
            # False too for what is no number, of which there is no sum.
            if (
                not all(0 <= share <= 1 for share in shares.values())
                or abs(math.fsum(shares.values()) - 1) > TOLERANCE
            ):
                raise EvenhandError(
                    f"the target of {concept!r} gives {attribute} the shares {list(shares.values())}; "
                    "give shares of 0 or more that sum to 1"
                )


def target_shares(
    target: str | Table,
    *,
    concepts: Sequence[str],
    attributes: Sequence[str],
    taxonomy: Mapping[str, Sequence[str]],
) -> NDArray[np.float64]:
    """Desired shares of the joint cells of ``attributes``, in the order of their groups.

    Returns:
        ``(concepts, K)``.

    Raises:
        EvenhandError: The target names an attribute but not a concept.
    """
    table = table_of(target)
    rows = [
        [_shares(table, concept, attribute, taxonomy[attribute]) for attribute in attributes]
        for concept in concepts
    ]
    return np.stack([reduce(np.multiply.outer, parts).reshape(-1) for parts in rows])


def _shares(table: Table, concept: str, attribute: str, groups: Sequence[str]) -> NDArray[np.float64]:
    if not any(attribute in attributes for attributes in table.values()):
        return np.full(len(groups), 1 / len(groups))
    for name in (concept, ANY):
        if shares := table.get(name, {}).get(attribute):
            given = np.array([shares[group] for group in groups], np.float64)
            normed: NDArray[np.float64] = given / given.sum()
            return normed
    raise EvenhandError(
        f"the target gives no shares of {attribute} for {concept!r}; add rows for it or for {ANY!r}, "
        "or leave it out of the suite's concepts"
    )


def table_digest(table: Table) -> str:
    """SHA-256 of all shares, whatever their order."""
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()
