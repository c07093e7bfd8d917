"""Results at a chosen position in the planes of the trade-offs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from helpers.report import JOINT, a_comparison, a_result, a_spec, an_estimate, gated

from evenhand.bench.policy.pareto import Point, Span
from evenhand.bench.results.lookup import Reading
from evenhand.bench.results.result import EstimateRow, Result

CONCEPTS = ["nurse", "cook", "CEO", "teacher"]

BASE_DISTANCE = 0.6
"""The distance that the tests give to the baseline."""


def placed(
    label: str,
    *,
    distance: float,
    lost: float = 0.0,
    change: float = 0.0,
    width: float = 0.02,
    strength: str | None = None,
    parameters: Mapping[str, object] | None = None,
    concepts: list[str] = CONCEPTS,
) -> Result:
    """A result with this distance, loss of fidelity and change of unrelated images.

    Args:
        label: The method's label; its name is the part before the colon.
        distance: RMSDelta over the joint cells.
        lost: Explicit fidelity below the baseline, as a share.
        change: Preservation distance.
        width: Half the width of every interval; costs of exactly zero have none.
        strength: Name of the strength parameter.
        parameters: Every parameter resolved.
        concepts: The concepts.
    """
    spec = a_spec(label, concepts=concepts)
    card = spec.method.model_copy(update={"strength": strength, "parameters": dict(parameters or {})})
    around = {"low": max(0, distance - width), "high": distance + width}
    rows = [
        an_estimate("rms_delta", distance, attributes=JOINT, corrected=corrected, **around)
        for corrected in (True, False)
    ]
    rows += _deviations(label, distance, concepts)
    rows += [
        an_estimate("explicit_fidelity", 0.95 - lost, attributes="gender", kind="explicit"),
        an_estimate("undetermined", 0.01, attributes="gender"),
        an_estimate("over_correction", 0.01, attributes="gender", kind="over_correction"),
        an_estimate(
            "preservation_distance",
            change,
            judge="",
            kind="unrelated",
            low=max(0, change - width) if change else 0,
            high=change + width if change else 0,
        ),
    ]
    changed = distance**2 - BASE_DISTANCE**2
    paired = a_comparison(changed).model_copy(update={"low": changed - width, "high": changed + width})
    return a_result(label, concepts=concepts).model_copy(
        update={
            "spec": spec.model_copy(update={"method": card}),
            "estimates": rows,
            "comparisons": [] if label == "base" else [paired],
            "ranks": [],
            "losses": [] if label == "base" else gated(lost=lost, half=width),
        }
    )


def point(label: str, cost: float, distance: float, half: float = 0.0) -> Point:
    """A point of a plane; both intervals reach ``half`` to either side."""
    return Point(label, *(Span(value, value - half, value + half) for value in (cost, distance)))


def readings(*results: Result) -> list[Reading]:
    """The readings of the results."""
    return [Reading.of(result) for result in results]


def swept(name: str, *, own: float, settings: list[float], distance: float, trade_off: float) -> list[Result]:
    """A method at several strengths; a larger strength is fairer and has larger side effects.

    The setting ``own`` is the suite's, so its label has no parameter.
    """
    results = []
    for value in settings:
        label = name if value == own else f"{name}:scale={value}"
        share = value / max(settings)
        results.append(
            placed(
                label,
                distance=0.6 - (0.6 - distance) * share,
                lost=trade_off * share**2,
                change=2 * trade_off * share,
                strength="scale",
                parameters={"scale": value, "templates": ["a photo"]},
            )
        )
    return results


def _deviations(label: str, distance: float, concepts: list[str]) -> list[EstimateRow]:
    """Squared deviations of the concepts, with the mean that gives the distance."""
    noise = np.random.default_rng(sum(map(ord, label))).normal(0, 0.01, len(concepts))
    noise -= noise.mean()
    return [
        an_estimate(
            "excess_agreement", distance**2 + shift, attributes=JOINT, concept=concept, corrected=fixed
        )
        for concept, shift in zip(concepts, noise, strict=True)
        for fixed in (True, False)
    ]
