"""Renders the records of ``evenhand tune`` as Markdown, so that cards do not repeat their numbers."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path

from evenhand.bench.registry.entry_points import SUITES
from evenhand.bench.results.tuning import Trial, TuningRecord, read_tuning
from evenhand.bench.storage.files import folder_name


def search(suite: str, method: str) -> tuple[str, tuple[str, ...], list[tuple[str, ...]]]:
    """What a search on a suite has found: a sentence, the head of a table, and its rows.

    The rows are where the search started, its winner, a longer training, and the trial closest to the target
    if a gate forbids it.

    Args:
        suite: Registered name of the suite, which names a folder of records.
        method: The method, or a variant such as ``mist:scope=joint``.
    """
    file = Path(str(SUITES.get(suite)))
    records = tomllib.loads(file.read_text(encoding="utf-8"))["tuning"]["records"]
    record = read_tuning(file.parent / records / f"{folder_name(method)}.json")
    head = ("", *(f"`{name}`" for name in record.parameters), "distance", "largest loss")
    rows = [
        (
            ", ".join(roles),
            *(str(record.value(trial, name)) for name in record.parameters),
            f"{trial.distance:.2f} ({trial.low:.2f} to {trial.high:.2f})",
            _loss(trial),
        )
        for trial, roles in _chosen(record)
    ]
    return _sentence(record, suite), head, rows


def _sentence(record: TuningRecord, suite: str) -> str:
    ended = record.lengthening and record.lengthening.ended
    effort = f"{record.passes:,} U-Net passes" if record.passes else "no U-Net passes"
    return (
        f"The search on `{suite}` tried {len(record.searched)} configurations on development prompts, with "
        f"{effort} in their fits; the baseline has a distance of {record.baseline:.2f} there."
        + (f" {ended[0].upper()}{ended[1:]}." if ended else "")
    )


def _chosen(record: TuningRecord) -> Iterable[tuple[Trial, list[str]]]:
    """The trials to show, with their roles, the start first."""
    finished = [trial for trial in record.trials if trial.status == "finished"]
    nearest = min(finished, key=lambda trial: trial.distance)
    for trial in finished:
        roles = ["start"] if trial.origin == "start" else []
        if record.is_winner(trial):
            roles.append("**winner**, though a gate fails" if trial.violation else "**winner**")
        elif trial.origin == "longer":
            roles.append("trained longer")
        elif trial is nearest and trial.violation:
            roles.append("closest, but a gate fails")
        if roles:
            yield trial, roles


def _loss(trial: Trial) -> str:
    """The loss that comes closest to its gate, or exceeds it most."""
    if trial.worst is None:
        return "none measured"
    shown = f"{trial.worst.value:.1%} of {trial.worst.margin:.0%}".replace("%", " %")
    return f"{shown} allowed: {trial.worst.name.replace('_', ' ')}"
