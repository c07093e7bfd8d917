"""The parts of a run's images in which a judge may err unlike: what was asked, of whom, by which model."""

from __future__ import annotations

import csv

import pandas as pd

from evenhand.bench.prompts.prompt_set import FOLDER
from evenhand.bench.results.result import BASE

DEBIASED = "debiased"
"""The model of images that any method changed."""

UNKNOWN = "none"
"""The stereotype of an occupation that WinoBias does not name."""

_SIDES = FOLDER / "sources" / "winobias_occupations.csv"


def image_strata(images: pd.DataFrame, *, elsewhere: bool) -> pd.DataFrame:
    """Every image's strata by key; an image that several methods share belongs to the base model.

    Args:
        images: The image table.
        elsewhere: Whether the images are those of an audit, where models have names of their own.

    Returns:
        Columns ``kind`` of the prompt, ``stereotype`` (side of the occupation after WinoBias) and ``model``
        (``base`` or ``debiased``; in an audit its name).
    """
    first = images.assign(edited=images["method"] != BASE).sort_values("edited", kind="stable")
    first = first.drop_duplicates("key").set_index("key")
    sides = stereotypes()
    return pd.DataFrame(
        {
            "kind": first["kind"],
            "stereotype": first["concept"].map(lambda concept: sides.get(concept, UNKNOWN)),
            "model": first["method"] if elsewhere else first["edited"].map({True: DEBIASED, False: BASE}),
        }
    )


def strata_apart(images: pd.DataFrame, *, elsewhere: bool) -> pd.DataFrame:
    """The same, where stereotype and model part the neutral prompts alone and are empty for others.

    So they are not mixed up with the kind of the prompt.
    """
    strata = image_strata(images, elsewhere=elsewhere)
    neutral = strata["kind"] == "neutral"
    return strata.assign(**{name: strata[name].where(neutral, "") for name in ("stereotype", "model")})


def stereotypes() -> dict[str, str]:
    """Occupation to the side of its stereotype, after WinoBias."""
    lines = _SIDES.read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return {row["occupation"]: row["winobias_stereotype"] or UNKNOWN for row in rows}
