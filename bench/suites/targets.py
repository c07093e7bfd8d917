"""Target shares other than uniform ones: labour statistics, shares of a result, or a table by the user.

A table has the share of every group for a concept and an attribute; the concept ``*`` stands for all concepts
that the table does not name. Attributes that are not in the table have uniform targets. Attributes are
independent: the share of a joint cell is the product of the shares of its groups.
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
"""The concept that stands for all concepts that a table does not name."""

Table = dict[str, dict[str, dict[str, float]]]
"""Concepts to attributes to groups to shares."""

COLUMNS = ("concept", "attribute", "group", "share")

TOLERANCE = 1e-6
"""Tolerance for the sum of the shares of a concept and attribute, which must be 1."""

OCCUPATIONS_FILE = Path(__file__).parents[1] / "prompts" / "sources" / "winobias_occupations.csv"


def read_table(path: Path) -> Table:
    """Read a table from a CSV ``concept,attribute,group,share``, which may begin with a ``#`` line.

    A path that ends in ``.json`` is a result; see :func:`table_of_result`.

    Raises:
        EvenhandError: The file cannot be read or is malformed.
    """
    if path.suffix == ".json":
        return table_of_result(Result.load(path))
    if not path.is_file():
        raise EvenhandError(f"target must be {UNIFORM!r}, {LABOUR!r} or an existing file, got {str(path)!r}")
    file = CsvFile("target", path)
    table: Table = {}
    for line, row in file.rows(required=COLUMNS):
        groups = table.setdefault(row["concept"], {}).setdefault(row["attribute"], {})
        if row["group"] in groups:
            raise file.fault(line, f"duplicate share of {row['group']!r} for {row['concept']!r}; keep one")
        try:
            groups[row["group"]] = float(row["share"])
        except ValueError as fault:
            raise file.fault(
                line, f"share must be a number, got {row['share']!r}; write 0.25 for 25%"
            ) from fault
    return table


def table_of_result(result: Result) -> Table:
    """The shares that a method produced on neutral prompts according to the panel; usually of the baseline.

    The distance from these shares says how far a method changed the model. They are estimates: intervals and
    noise floors do not include the sampling error of this target. Uses corrected shares if the result has
    them.

    Raises:
        EvenhandError: The result has no shares by concept, or lacks those of one concept.
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
                f"{row.concept!r}; use more images of this concept or remove it"
            )
        table.setdefault(row.concept, {}).setdefault(row.attributes, {})[row.group] = row.value
    if not table:
        raise EvenhandError(
            f"the result of {result.spec.method.label!r} has no shares by concept; use the result of a run"
        )
    return table


@cache
def labour_table() -> Table:
    """Share of women among employed people of each WinoBias occupation, United States, annual average 2022.

    Source: Bureau of Labor Statistics, Current Population Survey, table 11. Occupations were matched to job
    titles by hand; where the match is loose (attendant, assistant, supervisor), the share is the one
    published with WinoBias (Zhao et al. 2018).
    """
    with OCCUPATIONS_FILE.open(encoding="utf-8", newline="") as file:
        next(file)  # the comment with source and license
        rows = list(csv.DictReader(file))
    table: Table = {}
    for row in rows:
        loose = row["bls_match_quality"] == "low"
        women = round(float(row["winobias_pct_female" if loose else "bls2022_pct_women"]) / 100, 4)
        table[row["occupation"]] = {"gender": {"woman": women, "man": round(1 - women, 4)}}
    return table


def table_of(target: str | Table) -> Table:
    """The table of a suite's ``target``; empty for the uniform target.

    Raises:
        EvenhandError: The target is the name of no table.
    """
    if not isinstance(target, str):
        return target
    if target == UNIFORM:
        return {}
    if target == LABOUR:
        return labour_table()
    raise EvenhandError(f"target must be {UNIFORM!r}, {LABOUR!r} or a table, got {target!r}")


def check_table(table: Table, taxonomy: Mapping[str, Sequence[str]]) -> None:
    """Check that a table fits the attributes of a suite.

    Args:
        table: The table.
        taxonomy: Attributes to groups.

    Raises:
        EvenhandError: An attribute or group is unknown, a group is missing, or shares do not sum to 1.
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
                        f"the target of {concept!r} lacks the share of {attribute} {group!r}; "
                        "add it, 0 for none"
                    )
            # Comparisons with NaN are false, so NaN is rejected too.
            if (
                not all(0 <= share <= 1 for share in shares.values())
                or abs(math.fsum(shares.values()) - 1) > TOLERANCE
            ):
                raise EvenhandError(
                    f"the shares of {attribute} in the target of {concept!r} must be "
                    "non-negative and sum to 1, "
                    f"got {list(shares.values())}"
                )


def target_shares(
    target: str | Table,
    *,
    concepts: Sequence[str],
    attributes: Sequence[str],
    taxonomy: Mapping[str, Sequence[str]],
) -> NDArray[np.float64]:
    """Target shares of the joint cells of ``attributes``, in the order of their groups.

    Returns:
        ``(concepts, K)``.

    Raises:
        EvenhandError: The target has shares of an attribute, but not for one of the concepts.
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
        f"the target has no shares of {attribute} for {concept!r}; add rows for it or for {ANY!r}, "
        "or remove the concept from the suite"
    )


def table_digest(table: Table) -> str:
    """SHA-256 of all shares, independent of their order."""
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()
