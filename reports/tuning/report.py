"""The page of a tuned method: what won, every trial, and whether more trials would have helped."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from evenhand.bench.results.text import attribute, count, interval, number, plural
from evenhand.bench.results.tuning import Trial, TuningRecord
from evenhand.reports.components.charts import Dot, draw
from evenhand.reports.components.page import templates
from evenhand.reports.components.tables import Cell, Row, Table, counted, missing, text
from evenhand.reports.run.figures import Figure, Panel

ORIGINS = {
    "start": "suite’s values",
    "quasi-random": "quasi-random (Sobol)",
    "tpe": "proposed by TPE",
    "finalist": "finalist, repeated in full",
    "longer": "longer training",
}

BEST_OF_K = "Expected best of k trials chosen before any result"


def render_tuning(record: TuningRecord, *, primary: str, importances: Mapping[str, float]) -> str:
    """The record as one self-contained HTML page; the same record gives the same bytes.

    Args:
        record: A finished search, or one in progress.
        primary: The attribute set of the distance.
        importances: Parameter to the share of the scores' variance that it explains; empty if unknown.
    """
    winner = record.winner
    return (
        templates()
        .get_template("tuning.html.j2")
        .render(
            record=record,
            winner=winner,
            headline=_headline(record, winner),
            sentences=_sentences(record, attribute(primary)),
            facts=_facts(record, winner),
            trials=_trials(record),
            figures=[figure for figure in (_curve(record), _importance(importances)) if figure],
            space=[(name, _domain(domain)) for name, domain in record.space.items()],
            fixed=[(name, _value(value)) for name, value in record.fixed.items()],
        )
    )


def _headline(record: TuningRecord, winner: Trial | None) -> str:
    if winner is None:
        return "No trial finished"
    ends = interval(winner.low, winner.high)
    found = (
        f"distance {number(winner.distance)}{f' (95% interval {ends})' if ends else ''} against "
        f"{number(record.baseline)} of the baseline"
    )
    if winner.violation:
        return f"No trial passes the gates. The least harmful one: {found}"
    closer = winner.high < record.baseline
    word = "closer" if closer else "not clearly closer"
    return f"The winning trial is {word} to the target than the baseline: {found}"


def _sentences(record: TuningRecord, primary: str) -> list[str]:
    state = "" if record.finished else f" The search is not finished: {len(record.trials)} trials so far."
    return [
        f"RMSDelta of {primary} on development prompts of suite {record.suite}, version "
        f"{record.suite_version}. No scored prompt or concept was used.{state}",
        "The search minimises the distance among the trials in which no loss against the baseline exceeds "
        "the margin of its gate.",
        *_stages(record),
        *(f"Drawn on {name}." for name in record.processors),
    ]


def _stages(record: TuningRecord) -> list[str]:
    """How a search of several stages was done."""
    first, last, said = record.screening, record.lengthening, []
    if first:
        said.append(
            f"The search drew with {count(first.steps)} denoising steps and at most "
            f"{plural(first.seeds, 'image')} a prompt, where the distance of the baseline is "
            f"{number(first.baseline)}. The best trials were repeated in full, and one of these wins."
        )
    if last:
        end = f" The end: {last.ended}." if last.ended else ""
        said.append(f"The best trial was trained {count(last.factor)} times as long while this helped.{end}")
    return said


def _facts(record: TuningRecord, winner: Trial | None) -> list[tuple[str, str]]:
    done = sum(trial.status == "finished" for trial in record.trials)
    planned = max(record.trials_planned + len(record.finalists), len(record.trials))
    return [
        (f"{count(done)} of {count(planned)}", "trials with a result"),
        (count(record.passes), "U-Net passes of all fits"),
        (count(record.passes_allowed), "largest number of one fit"),
        (str(winner.number) if winner else "none", "winning trial"),
    ]


def _trials(record: TuningRecord) -> Table:
    columns = ["Trial", "Distance", "Worst loss", *record.parameters, "U-Net passes", "Origin"]
    rows = [_row(record, each) for each in record.ranked]
    return Table("trials", "All trials, the best first", columns, rows)


def _row(record: TuningRecord, trial: Trial) -> Row:
    return Row(
        [
            text(f"{trial.number}{' (winner)' if record.is_winner(trial) else ''}"),
            _distance(trial),
            _worst(trial),
            *(text(_value(record.value(trial, name))) for name in record.parameters),
            counted(trial.passes),
            text(ORIGINS[trial.origin]),
        ]
    )


def _distance(trial: Trial) -> Cell:
    if trial.status != "finished":
        return text(trial.status, trial.reason)
    notes = (interval(trial.low, trial.high),)
    return Cell(number(trial.distance), notes, kind="number", raw={"": trial.distance})


def _worst(trial: Trial) -> Cell:
    """The loss that comes closest to its margin, or exceeds it most."""
    worst = trial.worst
    if worst is None:
        return missing()
    # Alignment is lost in per cent of the baseline's; everything else is a share of the images.
    relative = worst.name.startswith("alignment")
    shown = number(worst.value, percent=True) if relative else f"{number(100 * worst.value, digits=1)} points"
    allowed = number(worst.margin, percent=True) if relative else f"{100 * worst.margin:.1f}"
    note = f"{worst.name.replace('_', ' ')}; {allowed} allowed"
    return Cell(
        shown,
        (note,),
        kind="alert" if worst.value > worst.margin else "number",
        raw={"": worst.value, "of": worst.name},
    )


def _curve(record: TuningRecord) -> Figure | None:
    """The expected best distance of k of the trials that were chosen before any result."""
    best = record.best_of_k
    if len(best) < 2:
        return None
    dots = [
        Dot(plural(k, "trial"), "full", value, float("nan"), float("nan"))
        for k, value in enumerate(best, start=1)
    ]
    image = draw(
        dots,
        name="best-of-k",
        label=f"Expected best distance: {number(best[0])} of one trial, {number(best[-1])} of {len(best)}",
        axis="expected best distance",
        domain=(0, 1),
        percent=False,
    )
    rows = [Row([text(dot.row), text(number(dot.value))]) for dot in dots]
    return Figure(
        "best-of-k",
        BEST_OF_K,
        [Panel("Drawn at random from the start and the quasi-random trials", image)],
        [("full", "expected lowest distance")],
        f"Trials proposed by TPE are left out, because they depend on earlier results. {_last_step(record)} "
        "A trial that exceeds a gate counts as 1.",
        Table("best-of-k-data", BEST_OF_K, ["Trials", "Distance"], rows),
    )


def _last_step(record: TuningRecord) -> str:
    """How much the last trial lowers the expectation, next to what the images can show of the best one.

    The curve of any trials falls to its end, so only the size of its last step says something.
    """
    *_, before, last = record.best_of_k
    best = min(record.fixed_before, key=lambda trial: trial.score)
    step, half = before - last, (best.high - best.low) / 2
    ends = f"of the 95% interval of the best one ({interval(best.low, best.high)})"
    if math.isnan(half):
        return f"The last step is {number(step)}; the best one has no interval to compare it with."
    if step > half:
        return (
            f"The last step, {number(step)}, is larger than half the width {ends}: try more configurations."
        )
    return (
        f"The last step, {number(step)}, is not larger than half the width {ends}: what one more trial is "
        "expected to bring could not be told from chance."
    )


def _importance(importances: Mapping[str, float]) -> Figure | None:
    if not importances:
        return None
    ordered = sorted(importances.items(), key=lambda item: -item[1])
    dots = [Dot(name, "full", share, float("nan"), float("nan")) for name, share in ordered]
    image = draw(
        dots,
        name="importance",
        label="Importance: " + ", ".join(f"{name} {number(share, percent=True)}" for name, share in ordered),
        axis="share of the variance of the scores",
        domain=(0, 1),
        percent=True,
        bars=True,
    )
    rows = [Row([text(name), text(number(share, percent=True))]) for name, share in ordered]
    return Figure(
        "importance",
        "Importance of the parameters",
        [Panel("fANOVA", image)],
        [("full", "share of the variance")],
        "The share of the variance of the scores that each parameter explains (fANOVA). With few trials it "
        "is a hint, not a measurement.",
        Table("importance-data", "Importance of the parameters", ["Parameter", "Share"], rows),
    )


def _domain(domain: Mapping[str, Any]) -> str:
    if "values" in domain:
        return "one of " + ", ".join(_value(value) for value in domain["values"])
    kind = "integers" if domain["integer"] else "numbers"
    scale = ", logarithmic" if domain["log"] else ""
    return f"{kind} from {domain['low']:g} to {domain['high']:g}{scale}"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
