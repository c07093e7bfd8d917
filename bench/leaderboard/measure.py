"""The numbers of an entry: its method and the baseline measured together, and nothing else.

The numbers of a run depend on all of its methods: p-values are adjusted over the methods, agreement is over
the images of all. An entry is compared with entries of other runs, so its numbers are computed only from its
own tables and those of the baseline's entry, and everybody can recompute them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.suite import KnownSuite
from evenhand.bench.leaderboard.tables import Tables
from evenhand.bench.results.lookup import COMPARED_METRIC, PRIMARY_METRIC
from evenhand.bench.results.result import EstimateRow, Result, Spec
from evenhand.bench.results.text import PANEL
from evenhand.bench.stages.measure import measure_plan, metrics_of
from evenhand.bench.stages.resources import load_confusion
from evenhand.bench.stages.write import measured_fields
from evenhand.metrics.estimation.measure import measure

ROUNDED, CLOSE = 1e-8, 1e-9
"""Relative tolerance of two numbers, since results have nine digits, and absolute tolerance."""


def measured(result: Result, own: Tables, base: Tables, *, base_label: str, known: KnownSuite) -> Result:
    """The result with all numbers that the leaderboard needs recomputed from the tables.

    Args:
        result: The result of the run.
        own: Its tables.
        base: The tables of the baseline; ``own`` itself for the baseline.
        base_label: Label of the baseline.
        known: The suite, with the plan of the result.

    Raises:
        EvenhandError: The tables are not compatible.
    """
    evaluation_config, label = known.evaluation_config, result.spec.method.label
    images, labels = own.images, own.labels
    if own is not base:
        base = _on_shared_slots(base, own)
        own = _with_distinct_keys(own, base)
        images = pd.concat([base.images, own.images], ignore_index=True)
        labels = pd.concat([base.labels, own.labels], ignore_index=True)
    plan = measure_plan(
        evaluation_config,
        known.concepts,
        confusion=load_confusion(evaluation_config.calibration),
        metrics=metrics_of(evaluation_config),
        steering={label: _asked_steering_judge(result.spec, known)},
        base=base_label,
        ranked=(),
        look=_look(result, known),
    )
    found = measure(images, labels.drop_duplicates(["key", "judge", "attribute"]), plan=plan)
    fields = {"notes": list(found.notes), **measured_fields(found, label)}
    return published(result.model_copy(update=fields))


def _look(result: Result, known: KnownSuite) -> int:
    """The look at which the bounds of the losses are taken; 0 where the number of images was fixed.

    An entry with more images than its suite is of a run until decided, whatever it says. At the first look,
    only the entry knows.
    """
    return known.look if known.look > 1 else min(max((row.look for row in result.losses), default=0), 1)


def _on_shared_slots(base: Tables, own: Tables) -> Tables:
    """The baseline's tables without the images of looks that the method did not need."""
    place, needed = (
        pd.MultiIndex.from_frame(table.images[["prompt_id", "seed_index"]]) for table in (base, own)
    )
    if len(lacking := needed.difference(place)):
        raise EvenhandError(
            f"the baseline lacks {len(lacking)} of its images; submit the baseline of the same run"
        )
    return Tables(base.images[place.isin(needed)].reset_index(drop=True), base.labels)


def _asked_steering_judge(spec: Spec, known: KnownSuite) -> str | None:
    judge = spec.method.steering_judge
    return judge if judge in known.suite.non_voting_judges else None


def _with_distinct_keys(own: Tables, base: Tables) -> Tables:
    """The tables of the method, with a new key for each image whose labels differ from the baseline's.

    The last bits of an image can differ between machines, and so can its labels.
    """
    shared = set(own.labels["key"]) & set(base.labels["key"])
    said = [_said(table.labels[table.labels["key"].isin(shared)]) for table in (own, base)]
    renamed = {key: f"{key} again" for key, *_ in said[0] ^ said[1]}
    return Tables(
        own.images.assign(key=own.images["key"].replace(renamed)),
        own.labels.assign(key=own.labels["key"].replace(renamed)),
    )


def _said(labels: pd.DataFrame) -> set[tuple[str, ...]]:
    """The label table as a set of rows."""
    columns = ["key", "judge", "attribute", "status", "probabilities"]
    return set(zip(*(labels[name].map(str) for name in columns), strict=True))


def published(result: Result) -> Result:
    """The part of a result that the leaderboard needs; it keeps an entry below a megabyte.

    Excludes rows of single concepts except those that ranks are computed from; rows of single judges, gaps to
    steering judges and spreads except those of the primary metric; comparisons of single groups; and ranks,
    which the leaderboard computes itself. The results of the run have all of them.
    """
    return result.model_copy(
        update={
            "estimates": [row for row in result.estimates if _is_needed(row, result.spec.primary)],
            "comparisons": [row for row in result.comparisons if not row.group],
            "ranks": [],
            "steering": [row for row in result.steering if row.metric == PRIMARY_METRIC],
            "spreads": [row for row in result.spreads if row.metric == PRIMARY_METRIC],
        }
    )


def _is_needed(row: EstimateRow, primary: str) -> bool:
    if row.concept:
        ranks = row.metric == COMPARED_METRIC and row.judge == PANEL
        return ranks and row.attributes in (primary or row.attributes,)
    return row.judge in (PANEL, "") or (row.metric == PRIMARY_METRIC and not row.group)


def differences(stated: Result, again: Result) -> list[str]:
    """The differing numbers of two results of one method, each as a clause with both values."""
    return list(_unlike(stated.model_dump(), again.model_dump(), ""))


def _unlike(stated: Any, again: Any, place: str) -> Iterator[str]:
    if isinstance(stated, dict) and isinstance(again, dict) and stated.keys() == again.keys():
        for name in stated:
            yield from _unlike(stated[name], again[name], f"{place}.{name}" if place else name)
    elif isinstance(stated, list) and isinstance(again, list) and len(stated) == len(again):
        for one, other in zip(stated, again, strict=True):
            yield from _unlike(one, other, f"{place} ({_row(one)})")
    elif not _same(stated, again):
        yield f"{place} is {_short(stated)}, its labels give {_short(again)}"


def _row(value: Any) -> str:
    """The strings of a row, which identify it."""
    words = value.values() if isinstance(value, dict) else [value]
    return " ".join(word for word in words if isinstance(word, str) and word)


def _same(stated: Any, again: Any) -> bool:
    if isinstance(stated, float) and isinstance(again, float):
        both_missing = math.isnan(stated) and math.isnan(again)
        return both_missing or math.isclose(stated, again, rel_tol=ROUNDED, abs_tol=CLOSE)
    return bool(stated == again)


def _short(value: Any) -> str:
    return f"{len(value)} rows" if isinstance(value, list) else f"{value!r:.60}"
