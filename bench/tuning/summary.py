"""What ``evenhand tune`` shows at the end: the trials as a table, the winner, and the page."""

from __future__ import annotations

import json
from pathlib import Path

from evenhand.bench.results.text import interval, number
from evenhand.bench.results.tuning import Trial, TuningRecord
from evenhand.bench.storage.files import write_atomically
from evenhand.bench.suites.suite import Suite
from evenhand.bench.tuning.search import Tried, importances
from evenhand.methods.space import Choice, Range, Space
from evenhand.reports.tuning.report import render_tuning

Row = list[object]


def trial_table(record: TuningRecord) -> tuple[list[str], list[Row]]:
    """Headings and rows of the trials, the best first."""
    columns = ["trial", "distance", "95% interval", "worst loss", *record.parameters, "U-Net passes"]
    return columns, [_row(record, trial) for trial in record.ranked]


def _row(record: TuningRecord, trial: Trial) -> Row:
    finished = trial.status == "finished"
    worst = trial.worst
    loss = f"{number(worst.value, percent=True)} {worst.name.replace('_', ' ')}" if worst else ""
    return [
        f"{trial.number}{'*' if record.is_winner(trial) else ''}",
        number(trial.distance) if finished else trial.status,
        interval(trial.low, trial.high),
        f"{loss} (over the gate)" if trial.violation else loss,
        *(json.dumps(record.value(trial, name)) for name in record.parameters),
        trial.passes,
    ]


def closing_lines(record: TuningRecord) -> list[str]:
    """The winner, the importance of the parameters, and the expected best of k trials."""
    winner = record.winner
    if winner is None:
        return ["no trial has a result; see the reasons in the record"]
    best = record.best_of_k
    places = sorted({1, 2, 4, 8, len(best)} & set(range(1, len(best) + 1)))
    lines = [
        f"winner: trial {winner.number}, distance {number(winner.distance)} against "
        f"{number(record.baseline)} of the baseline"
        + ("; no trial passes the gates" if winner.violation else ""),
    ]
    if best:
        shown = ", ".join(f"{number(best[k - 1])} of {k}" for k in places)
        lines.append(f"expected best of the trials chosen before any result: {shown}")
    if record.lengthening and record.lengthening.ended:
        lines.append(f"training: {record.lengthening.ended}")
    found = importances(space_of(record), tried_of(record), seed=record.seed)
    if found:
        ordered = sorted(found.items(), key=lambda item: -item[1])
        lines.append("importance: " + ", ".join(f"{name} {share:.0%}" for name, share in ordered))
    return lines


def write_page(record: TuningRecord, path: Path, *, suite: Suite) -> None:
    """Write the page of a record."""
    found = importances(space_of(record), tried_of(record), seed=record.seed)
    page = render_tuning(record, primary="*".join(suite.primary), importances=found)
    write_atomically(path, page.encode())


def tried_of(record: TuningRecord) -> Tried:
    """The trials of the search with a result, for the importance of the parameters."""
    return [(trial.parameters, trial.score) for trial in record.searched if trial.status == "finished"]


def space_of(record: TuningRecord) -> Space:
    """The search space as the record states it."""
    return {
        name: Choice(tuple(domain["values"])) if "values" in domain else Range(**domain)
        for name, domain in record.space.items()
    }
