"""Runs as large as suite mini with synthetic numbers, for the tests of the audit report."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations, product
from pathlib import Path

import numpy as np
from helpers.report import ATTRIBUTES, CONCEPTS, JUDGES, NAN, a_comparison, a_result, an_estimate
from PIL import Image

from evenhand.bench.results.result import ErrorRow, EstimateRow, ImageRow, Result, Run, Timing

METHODS = ["base", *(f"method-{number}" for number in range(1, 24))]
"""The baseline and 23 methods."""

KINDS = {"neutral": 8, "explicit": 8, "over_correction": 4, "unrelated": 6, "person": 4}
"""Concepts with images for each kind of prompts."""


def a_full_run(
    folder: Path | str = "run",
    *,
    methods: Sequence[str] = METHODS,
    concepts: Sequence[str] = CONCEPTS[:35],
    images: Sequence[ImageRow] = (),
) -> Run:
    """A run with everything the report can show; the first method is the baseline."""
    results = [a_full_result(label, methods=methods, concepts=concepts) for label in methods]
    timings = [
        Timing(method=label, fit_seconds=12.4, generate_seconds=311, judge_seconds=48) for label in methods
    ]
    return Run(folder=str(folder), results=results, timings=timings, images=list(images))


def a_full_result(label: str, *, methods: Sequence[str], concepts: Sequence[str]) -> Result:
    """A result with shares of single attributes, side effects, all pairs and measured judge errors."""
    places = {name: number % 9 for number, name in enumerate(methods)}
    better = [name for name, place in places.items() if place > places[label]]
    result = a_result(label, concepts=concepts, rank=places[label], of=10, beaten_by=better)
    change = 0.0 if label == "base" else 0.4
    extra = [
        *group_rows(),
        an_estimate("preservation_distance", change, judge="", kind="unrelated", n=200),
        *(
            an_estimate("undetermined", 0.02, attributes=name, judge=judge, kind=kind, low=0.01, high=0.03)
            for name, judge, kind in product(
                ATTRIBUTES, ("panel", *JUDGES), ("neutral", "explicit", "person")
            )
        ),
    ]
    pairs = [
        a_comparison(0.01 * len(one)).model_copy(update={"against": other})
        for one, other in permutations(methods, 2)
        if one == label
    ]
    return result.model_copy(
        update={
            "estimates": [*result.estimates, *extra],
            "comparisons": pairs,
            "judge_errors": error_rows(),
        }
    )


def group_rows() -> list[EstimateRow]:
    """Mean shares of every group of every single attribute: uneven in the order of the groups."""
    rows = []
    for name, groups in ATTRIBUTES.items():
        weights = np.arange(len(groups), 0, -1) ** 2
        for group, share in zip(groups, weights / weights.sum(), strict=True):
            rows.append(
                an_estimate(
                    "share", share, attributes=name, group=group, low=max(0, share - 0.03), high=share + 0.03
                )
            )
    return rows


def error_rows(right: float = 0.9, n: int = 200) -> list[ErrorRow]:
    """Confusion matrices of the panel and every judge; ``right`` is the accuracy of the panel."""
    rows = []
    for judge in ("panel", *JUDGES):
        own = right if judge == "panel" else right - 0.1
        for name, groups in ATTRIBUTES.items():
            if judge == "tone-ita" and name != "tone":
                continue
            for truth, label in product(groups, [*groups, "undetermined"]):
                value = own if label == truth else (1 - own) / len(groups)
                low, high = value - 0.03, value + 0.03
                rows.append(
                    ErrorRow(
                        judge=judge,
                        attribute=name,
                        truth=truth,
                        label=label,
                        value=value,
                        low=low,
                        high=high,
                        n=n,
                    )
                )
    return rows


def images_of_every_kind(
    folder: Path, methods: Sequence[str], *, seeds: int = 6, side: int = 64
) -> list[ImageRow]:
    """Noise images, which do not compress; rows share files."""
    rng = np.random.default_rng(0)
    for number in range(20):
        noise = rng.integers(0, 255, (side, side, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"noise-{number}.png")
    places = product(methods, ((k, c) for k, count in KINDS.items() for c in range(count)), range(seeds))
    return [
        ImageRow(
            path=f"noise-{place % 20}.png",
            method=method,
            prompt=f"a {kind} image of {CONCEPTS[concept]}",
            concept="" if kind == "unrelated" else CONCEPTS[concept],
            kind=kind,
            seed_index=seed,
            labels={} if kind == "unrelated" else {"gender": "woman", "tone": "dark", "age": "older"},
        )
        for place, (method, (kind, concept), seed) in enumerate(places)
    ]


def nothing_decided(result: Result) -> Result:
    """The result where every label is undetermined and no number could be estimated."""
    coverage = result.coverage.model_copy(
        update={
            "rows": [
                row.model_copy(update={"ok": 0, "undetermined": {"no_person": row.images}})
                for row in result.coverage.rows
            ]
        }
    )
    blank = {"value": NAN, "low": NAN, "high": NAN, "n": 0}
    estimates = [
        row.model_copy(
            update=blank if row.metric != "undetermined" else {"value": 1.0, "low": 0.98, "high": 1.0}
        )
        for row in result.estimates
    ]
    return result.model_copy(
        update={"coverage": coverage, "estimates": estimates, "comparisons": [], "ranks": [], "agreement": []}
    )
