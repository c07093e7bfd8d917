"""Small runs that can and cannot be compared, created once for the tests of the comparison."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from helpers import paths
from helpers.shared import shared

from evenhand.bench import evaluate, load_suite
from evenhand.bench.suites.suite import Suite

TINY = str(paths.TINY)
PROMPTS = {"name": "winobias-40", "seeds": 4, "concepts": ["nurse", "CEO"], "templates": ["photo"]}
UNRELATED = {"name": "controls-mini", "seeds": 2, "limit": 2, "kinds": ["unrelated"]}
TONE = {
    "balance": ["tone"],
    "report": [["tone"]],
    "primary": ["tone"],
    "attributes": {
        "tone": {"groups": {tone: {"adjective": f"{tone}-skinned"} for tone in ("light", "medium", "dark")}}
    },
}

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "one": {"prompts": [PROMPTS, UNRELATED]},
    "more": {"prompts": [PROMPTS | {"seeds": 6, "concepts": ["nurse", "CEO", "mechanic"]}]},
    "fewer-judges": {"panel": ["vit"]},
    "other-words": {"prompts": [PROMPTS | {"concepts": ["teacher"]}]},
    "other-target": {"target": "labour"},
    "other-groups": TONE,
}
"""Name of a run to the values that replace those of the tiny suite."""


def a_suite(name: str) -> Suite:
    """The tiny suite with a few more draws and the variant's changes."""
    plain = load_suite(TINY).model_dump(mode="json")
    # The model's own size, since a comparison is of what the images show.
    protocol = plain["protocol"] | {"width": 64, "height": 64}
    changes = {"protocol": protocol, "bootstrap": {"draws": 200}, **VARIANTS[name]}
    return Suite.model_validate(plain | changes)


def a_run(name: str, *methods: str) -> Path:
    """A finished run of a variant; must not be modified."""
    return (
        shared(
            "-".join(["compare", name, *methods]),
            lambda folder: evaluate(a_suite(name), methods=methods or ["base"], out=folder / name),
        )
        / name
    )


def labelled(run: Path, method: str, *, judge: str = "panel") -> pd.DataFrame:
    """Neutral images with their perceived gender, by prompt and seed; read from the tables alone."""
    images = pd.read_parquet(run / "tables" / "images.parquet")
    labels = pd.read_parquet(run / "tables" / "labels.parquet")
    wanted = images[(images["method"] == method) & (images["kind"] == "neutral")]
    said = labels[(labels["judge"] == judge) & (labels["attribute"] == "gender")]
    both = wanted.merge(said[["key", "label", "status"]], on="key", suffixes=("", "_of_label"))
    return both.set_index(["prompt", "seed"]).sort_index()
