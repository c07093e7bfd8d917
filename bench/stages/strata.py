"""Strata in which the errors of a judge may differ: kind of the prompt, stereotype and model."""

from __future__ import annotations

import csv

import pandas as pd

from evenhand.bench.results.result import BASE
from evenhand.bench.suites.targets import OCCUPATIONS_FILE

DEBIASED = "debiased"
"""The model stratum of all images that are not of the baseline."""

UNKNOWN = "none"
"""The stereotype stratum of occupations that are not in WinoBias."""


def image_strata(images: pd.DataFrame, *, external: bool) -> pd.DataFrame:
    """The strata of every image by key; images that several methods share belong to the baseline.

    Args:
        images: The image table.
        external: Whether the images are external, so that ``method`` is the name of their model.

    Returns:
        Columns ``kind`` (of the prompt), ``stereotype`` (of the occupation according to WinoBias) and
        ``model`` (``base`` or ``debiased``; for external images the name of the model).
    """
    first = images.assign(edited=images["method"] != BASE).sort_values("edited", kind="stable")
    first = first.drop_duplicates("key").set_index("key")
    sides = stereotypes()
    return pd.DataFrame(
        {
            "kind": first["kind"],
            "stereotype": first["concept"].map(lambda concept: sides.get(concept, UNKNOWN)),
            "model": first["method"] if external else first["edited"].map({True: DEBIASED, False: BASE}),
        }
    )


def separate_strata(images: pd.DataFrame, *, external: bool) -> pd.DataFrame:
    """As :func:`image_strata`, but stereotype and model are empty except for neutral prompts.

    This way, these strata are not confounded with the kind of the prompt.
    """
    strata = image_strata(images, external=external)
    neutral = strata["kind"] == "neutral"
    return strata.assign(**{name: strata[name].where(neutral, "") for name in ("stereotype", "model")})


def stereotypes() -> dict[str, str]:
    """Occupations to their stereotypes according to WinoBias."""
    lines = OCCUPATIONS_FILE.read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return {row["occupation"]: row["winobias_stereotype"] or UNKNOWN for row in rows}
