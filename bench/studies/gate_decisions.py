"""How often the gate of explicit fidelity decides rightly, simulated on the explicit prompts of ``mini``.

Also how often the intervals of explicit fidelity cover, of the group served worst and of the gap. Images of
baseline and method are right or wrong independently, prompt by prompt. This is the worst case: the images of
a real method share noise with those of the baseline, which makes losses easier to exclude.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.mini.law import TAXONOMIES
from evenhand.bench.policy.gates import status_of
from evenhand.bench.prompts.plan import make_plan
from evenhand.bench.suites.suite import load_suite
from evenhand.metrics import catalog
from evenhand.metrics.estimation.encode import Study
from evenhand.metrics.estimation.losses import losses_of
from evenhand.metrics.estimation.measure import MeasurePlan, every_series
from evenhand.metrics.estimation.panel import PANEL
from evenhand.metrics.representation import FloatArray
from evenhand.metrics.statistics.paired_loss import LOOKS

FIDELITY = 0.97
"""Chance that an image of the baseline shows the group that its prompt names, for each attribute."""

BASELINES = 40
"""Baselines that the methods of a case share out among themselves.

A baseline that got few prompts wrong by chance makes the losses of all of its methods look larger. The error
of a mean over methods therefore follows from the means of the baselines.
"""

METHODS = 1000

DRAWS = 1000
"""Bootstrap draws of an interval."""


@dataclass(frozen=True)
class Case:
    """A method with a known loss.

    Attributes:
        name: Name in the table.
        loss: Loss in the attributes and groups below, as a share of the images.
        attributes: Attributes that lose.
        group: The group of them that loses; empty for all.
        identical: Whether the images of method and baseline are the same.
    """

    name: str
    loss: float = 0.0
    attributes: tuple[str, ...] = tuple(TAXONOMIES)
    group: str = ""
    identical: bool = False


CASES = (
    Case("same images", identical=True),
    Case("no loss, independent noise"),
    Case("5 points in every attribute", loss=0.05),
    Case("5 points in skin tone", loss=0.05, attributes=("tone",)),
    Case("8.5 points for women", loss=0.085, attributes=("gender",), group="woman"),
    Case("20 points in every attribute", loss=0.2),
)


@cache
def asked(look: int) -> list[dict[str, str]]:
    """Attribute to group named, for every explicit prompt of ``mini`` at this look."""
    items, _ = make_plan(load_suite("mini"), look=look)
    return [item.prompt.cell for item in items if item.prompt.kind == "explicit"]


def explicit_study(cells: Sequence[Mapping[str, str]], right: Mapping[str, NDArray[np.bool_]]) -> Study:
    """A study of explicit prompts with the baseline ``base`` and methods ``m0000``, ``m0001`` and so on.

    Args:
        cells: For each of ``S`` prompts, attribute to the group that it names.
        right: For each attribute, which images show the group named, ``(1 + methods, S)``, the baseline
            first; the others show the next group of the taxonomy.
    """
    codes = {}
    for name, groups in TAXONOMIES.items():
        place = np.array([groups.index(cell.get(name, groups[0])) for cell in cells])
        codes[PANEL, name] = np.where(right[name], place, (place + 1) % len(groups))
    shape = next(iter(right.values())).shape
    slots = pd.DataFrame(
        {
            "kind": "explicit",
            "concept": "nurse",
            "template": "photo",
            "prompt_id": [f"p{place:04d}" for place in range(len(cells))],
            "cell": "",
            "prompt": "",
            "seed_index": 0,
            "groups": list(cells),
        }
    )
    return Study(
        methods=("base", *(f"m{place:04d}" for place in range(shape[0] - 1))),
        slots=slots,
        keys=np.full(shape, "", object),
        status=np.full(shape, "ok", object),
        columns={},
        taxonomy=TAXONOMIES,
        codes=codes,
        label_status={},
    )


def statuses(case: Case, *, methods: int, look: int = 0, seed: int = 0) -> NDArray[np.str_]:
    """Status of the gate for each of ``methods``, all against one baseline, at a look or at 420 prompts."""
    cells, count = asked(LOOKS), len(asked(max(look, 1)))
    right = {}
    for number, name in enumerate(TAXONOMIES):
        rng = np.random.default_rng([seed, number])
        base = rng.random((1, len(cells))) < FIDELITY
        chance = FIDELITY - _losses(case, name, cells)
        drawn = rng.random((methods, len(cells))) < chance
        right[name] = np.vstack([base, np.repeat(base, methods, axis=0) if case.identical else drawn])
    cut = {name: each[:, :count] for name, each in right.items()}
    found = losses_of(explicit_study(cells[:count], cut), base="base", look=look)
    return np.array([status_of(rows) for method, rows in found.items() if method != "base"])


def fidelity_intervals(methods: int = METHODS, *, draws: int = DRAWS) -> Iterator[dict[str, Any]]:
    """The intervals of the group served worst and of the gap, with the true values, at 420 prompts.

    Every method is one repetition.
    """
    cells = asked(1)
    metrics = (catalog.explicit_fidelity, catalog.fidelity_gap)
    plan = MeasurePlan(
        attributes=TAXONOMIES, panel=(PANEL,), joints=(), base=None, metrics=metrics, draws=draws
    )
    for number, case in enumerate(case for case in CASES if not case.identical):
        rng = np.random.default_rng([number, 1])
        chance = {name: FIDELITY - _losses(case, name, cells) for name in TAXONOMIES}
        right = {name: rng.random((methods, len(cells))) < each for name, each in chance.items()}
        series, _ = every_series(explicit_study(cells, right), plan, None)
        for one in series:
            row = one.estimate
            named = np.array([row.attributes in cell for cell in cells])
            true = chance[row.attributes][named]
            if not row.group:
                yield {
                    "design": f"explicit prompts of mini: {case.name}",
                    "statement": "value",
                    "method": "method",
                    "metric": row.metric,
                    "attributes": row.attributes,
                    "group": "",
                    "truth": float(true.min() if one.metric is catalog.explicit_fidelity else np.ptp(true)),
                    "value": row.value,
                    "low": row.low,
                    "high": row.high,
                }


def _losses(case: Case, attribute: str, cells: Sequence[Mapping[str, str]]) -> FloatArray:
    """``(S,)``: the loss at every prompt."""
    there = [case.group in ("", cell.get(attribute)) for cell in cells]
    return case.loss * (attribute in case.attributes) * np.array(there, float)


def until_decided(case: Case, *, methods: int, seed: int = 0) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Status and number of explicit prompts at which each method of a run until decided stops."""
    looks = np.array([statuses(case, methods=methods, look=k, seed=seed) for k in range(1, LOOKS + 1)])
    undecided = looks == "not proven"
    stop = np.where(undecided.all(axis=0), LOOKS - 1, (~undecided).argmax(axis=0))
    sizes = np.array([len(asked(k)) for k in range(1, LOOKS + 1)])
    return looks[stop, np.arange(methods)], sizes[stop]


def decisions(methods: int = METHODS, *, baselines: int = BASELINES) -> pd.DataFrame:
    """One row per case: shares of the outcomes at 420 prompts and in a run until decided.

    The standard error of the mean number of prompts is that of the means of the baselines.
    """
    rows = []
    for case in CASES:
        each = methods // baselines
        fixed = np.concatenate([statuses(case, methods=each, seed=seed) for seed in range(baselines)])
        runs = [until_decided(case, methods=each, seed=seed) for seed in range(baselines)]
        final, prompts = (np.stack(parts) for parts in zip(*runs, strict=True))
        error = prompts.mean(axis=1).std(ddof=1) / np.sqrt(baselines)
        rows.append(
            {
                "true loss": case.name,
                "passed at 420": f"{(fixed == 'passed').mean():.1%}",
                "harm proven at 420": f"{(fixed == 'harm proven').mean():.1%}",
                "passed until decided": f"{(final == 'passed').mean():.1%}",
                "harm proven until decided": f"{(final == 'harm proven').mean():.1%}",
                "explicit prompts, mean": round(float(prompts.mean())),
                "standard error": round(float(error)),
            }
        )
    return pd.DataFrame(rows)
