"""Records of tuning with chosen numbers."""

from __future__ import annotations

from evenhand.bench.results.tuning import HarmRow, Trial, TuningRecord


def a_trial(number: int, distance: float, loss: float = 0.0, **more: object) -> Trial:
    """A finished trial with one loss, of 5 points allowed."""
    fields = {
        "number": number,
        "origin": "quasi-random",
        "parameters": {"scale": number / 2},
        "status": "finished",
        "distance": distance,
        "low": distance - 0.1,
        "high": distance + 0.1,
        "harms": [HarmRow(name="explicit_fidelity gender", value=loss, margin=0.05)],
        "passes": 100,
    }
    return Trial.model_validate(fields | more)


def a_record(*trials: Trial, **more: object) -> TuningRecord:
    """A record of three planned trials of a method with one parameter."""
    fields: dict[str, object] = {
        "suite": "s",
        "suite_version": "1",
        "development": "d",
        "method": "m",
        "method_version": "1",
        "model_revision": "r",
        "seed": 0,
        "trials_planned": 3,
        "passes_allowed": 1000,
        "fixed": {},
        "space": {"scale": {"low": 0.0, "high": 2.0, "log": False, "integer": False}},
        "baseline": 0.6,
        "trials": list(trials),
    }
    return TuningRecord.model_validate(fields | more)
