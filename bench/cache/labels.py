"""Labels in a cache: one row per image, bound to its pixels, for one judge and attribute.

A file has nothing but numbers, statuses and digests. The names in the label table come from the judge that is
installed here, and labels are decided from the probabilities again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from evenhand.bench.cache.layout import Contents, check_size
from evenhand.bench.cache.places import Cache
from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.tables import probabilities_of
from evenhand.bench.leaderboard.verification.answers import PROBABILITY_TOLERANCE
from evenhand.bench.parsing.regular_file import read_regular
from evenhand.bench.parsing.strict_parquet import read_parquet, write_parquet
from evenhand.metrics.judges.base import Judge
from evenhand.metrics.table import LABEL_COLUMNS, STATUSES, label_rows

MAX_ROWS = 100_000
"""Maximum number of rows of a file."""

MAX_BYTES = 2**26
"""Maximum size of a file; a row of an attribute with twenty groups has less than 300 bytes."""

PIXELS = "pixels"
"""Column with the digest of the pixels that were labelled."""

_ONE_LABEL = ["key", PIXELS, "judge", "attribute"]

_FILE = "file"
"""Column with the name of the file that a label comes from."""


def label_key(judge: Judge, attribute: str, groups: Sequence[str]) -> str:
    """Digest of everything besides the image that labels depend on."""
    parts = [judge.info.name, judge.info.version, attribute, list(groups)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def asked_of(judge: Judge, attributes: dict[str, tuple[str, ...]]) -> list[str]:
    """The attributes of the suite that a judge labels."""
    return [name for name in attributes if name in judge.info.taxonomies]


def label_files(rows: pd.DataFrame, *, groups: int) -> Iterator[bytes]:
    """The files of the rows of one judge and attribute; the same rows give the same bytes.

    Args:
        rows: Rows of the label table with the column :data:`PIXELS`.
        groups: Number of groups of the attribute.
    """
    ordered = rows.sort_values(["key", PIXELS], ignore_index=True)
    table = np.array(ordered["probabilities"].tolist(), dtype=np.float64).reshape(len(ordered), groups + 1)
    wide = pd.DataFrame({f"p{place}": table[:, place] for place in range(groups)})
    wide["cannot_tell"] = table[:, -1]
    wide["status"] = ordered["status"].astype(str)
    for name in ("key", PIXELS):
        wide[name] = ordered[name].map(bytes.fromhex)
    for start in range(0, len(wide), MAX_ROWS):
        yield write_parquet(wide.iloc[start : start + MAX_ROWS], _columns(groups))


def read_labels(
    *,
    cache: Cache,
    contents: Contents,
    judge: Judge,
    attribute: str,
    groups: Sequence[str],
    keys: Collection[str],
) -> pd.DataFrame:
    """Labels of some images in a cache, as rows of the label table with the column :data:`PIXELS`.

    Two machines that push at the same time may both add the label of an image. Rounding makes the two differ
    slightly; that of the first file by name counts, for everyone alike.

    Args:
        cache: The cache.
        contents: Its contents.
        judge: The judge, as installed here.
        attribute: The attribute.
        groups: Its groups.
        keys: Keys of the images.

    Raises:
        EvenhandError: A file is not a table of labels, was altered, or contradicts another one.
    """
    names = contents.labels.get(label_key(judge, attribute, groups), [])
    for name in names:
        check_size(contents, name, max_bytes=MAX_BYTES)
    root, parts = cache.fetch(names) if names else Path(), []
    for name in names:
        try:
            rows = _rows_of(root / name, judge=judge, attribute=attribute, groups=groups, keys=keys)
        except (OSError, ValueError) as fault:
            raise EvenhandError(
                f"{root / name}: labels cannot be used ({fault}); use another cache"
            ) from fault
        parts.append(rows.assign(**{_FILE: name}))
    parts = [part for part in parts if len(part)]
    if not parts:
        return without_labels()
    return _without_repetition(pd.concat(parts, ignore_index=True), cache=cache).drop(columns=_FILE)


def without_labels() -> pd.DataFrame:
    """No labels, with the columns of :func:`read_labels`."""
    return pd.DataFrame(columns=[*LABEL_COLUMNS, PIXELS])


def complete(rows: pd.DataFrame, *, asked: Sequence[str]) -> pd.DataFrame:
    """The labels of those images for which a judge labels all its attributes: a run labels all or none.

    Args:
        rows: Labels of one judge, from :func:`read_labels`.
        asked: Its attributes.
    """
    return rows[rows.groupby(["key", PIXELS])["attribute"].transform("size") == len(asked)]


def _rows_of(
    path: Path, *, judge: Judge, attribute: str, groups: Sequence[str], keys: Collection[str]
) -> pd.DataFrame:
    data = read_regular(path, max_bytes=MAX_BYTES)
    if hashlib.sha256(data).hexdigest() != path.stem:
        raise ValueError("its SHA-256 is not its name")
    rows = read_parquet(data, _columns(len(groups)), max_rows=MAX_ROWS)
    if unknown := sorted(set(rows["status"]) - set(STATUSES)):
        raise ValueError(f"status {unknown[0]!r:.40} is unknown")
    probabilities = probabilities_of(rows, count=len(groups), where=f"labels of {judge.info.name!r}")
    named = [key.hex() for key in rows["key"]]
    wanted = np.array([key in keys for key in named], dtype=bool)
    found = label_rows(
        keys=[key for key, there in zip(named, wanted, strict=True) if there],
        judge=judge.info.name,
        version=judge.info.version,
        family=judge.info.family,
        attribute=attribute,
        groups=groups,
        probabilities=probabilities[wanted],
        status=rows["status"][wanted].tolist(),
    )
    return found.assign(**{PIXELS: [pixels.hex() for pixels in rows[PIXELS][wanted]]})


def _without_repetition(rows: pd.DataFrame, *, cache: Cache) -> pd.DataFrame:
    """The first label of every image.

    Raises:
        EvenhandError: Two labels of one image differ by more than machines do.
    """
    again = rows.duplicated(_ONE_LABEL)
    first = rows[~again].reset_index(drop=True)
    pairs = rows[again].merge(first, on=_ONE_LABEL, suffixes=("", "_first"))
    both = zip(pairs["probabilities"], pairs["probabilities_first"], strict=True)
    moved = np.array([np.abs(np.subtract(one, other)).max() for one, other in both])
    differs = (moved > PROBABILITY_TOLERANCE) | (pairs["status"] != pairs["status_first"])
    if differs.any():
        pair = pairs[differs].iloc[0]
        files = " and ".join(dict.fromkeys([pair[f"{_FILE}_first"], pair[_FILE]]))
        raise EvenhandError(
            f"{cache.address} has two different labels of judge {pair['judge']!r} for image "
            f"{pair['key'][:12]}, in {files}; delete the file that you do not trust, or use another cache"
        )
    return first


def _columns(groups: int) -> dict[str, pa.DataType]:
    hashes = dict.fromkeys(("key", PIXELS), pa.binary(32))
    numbers = dict.fromkeys([*(f"p{place}" for place in range(groups)), "cannot_tell"], pa.float64())
    return {**hashes, "status": pa.string(), **numbers}
