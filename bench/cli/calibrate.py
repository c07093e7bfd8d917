"""``evenhand calibrate``: measure the errors of a run's judges on images that people labelled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evenhand.bench.cli.shared import Json, Online, examples

if TYPE_CHECKING:
    from evenhand.bench.calibration.calibrate import CalibrationReport, JudgeCalibration, StratumTest

app = typer.Typer()


@app.command(
    epilog=examples(
        "evenhand calibrate runs/mini --anchors anchors.csv --out calibration.csv",
        "evenhand calibrate RUN --anchors a.csv --out c.csv --judge-report judges.csv",
    )
)
def calibrate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run or audit.")],
    anchors: Annotated[
        Path,
        typer.Option(metavar="CSV", help="Human labels: key,attribute,label[,probability]."),
    ],
    out: Annotated[
        Path, typer.Option(metavar="CSV", help="Confusion table to write, for `calibration` in a suite.")
    ],
    judge_report: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV", help="Also write a report of each judge's accuracy, by group, and stability."
        ),
    ] = None,
    online: Online = False,
    as_json: Json = False,
) -> None:
    """Measure the errors of a run's judges on anchors: images that people labelled.

    The output says which judges can be corrected, and why others cannot.
    It also tests whether error rates differ between strata: kinds of prompts,
    stereotypes of occupations, baseline and debiased images. Where they
    differ, one confusion table does not fit all images.

    With --judge-report, each judge also labels the anchors again under
    different crops, option orders and wordings.
    """
    from evenhand.bench.calibration.calibrate import calibrate_run
    from evenhand.bench.fetching import hub

    hub.permit(online)
    calibrated = calibrate_run(run, anchors=anchors, out=out, judge_report=judge_report)
    if as_json:
        from evenhand.bench.cli.console import write_json

        write_json(asdict(calibrated))
    else:
        _write(calibrated)


JUDGE_COLUMNS = (
    "judge",
    "attributes",
    "anchors",
    "smallest group",
    "condition",
    "recall",
    "independence p",
    "verdict",
)
STRATA_COLUMNS = ("judge", "attribute", "group", "strata", "error rate", "undetermined", "p")


def _write(calibrated: CalibrationReport) -> None:
    from evenhand.bench.cli.console import write_table

    write_table(JUDGE_COLUMNS, [_judge_cells(row) for row in calibrated.measured])
    differing = [row for row in calibrated.carried if not row.alike]
    if differing:
        typer.echo()
        write_table(STRATA_COLUMNS, [_stratum_cells(row) for row in differing])
    typer.echo()
    for remark in calibrated.remarks:
        typer.echo(f"note: {remark}")
    if calibrated.carried:
        typer.echo(
            f"strata: {len(differing)} of {len(calibrated.carried)} tests find error rates that differ "
            "between strata"
        )
    if calibrated.untold:
        typer.echo(f"note: {calibrated.untold} empty labels are ignored (the annotators could not tell)")
    typer.echo(f"calibration: {calibrated.path} ({calibrated.images} anchors)")
    if calibrated.judge_report is not None:
        rows, claims, missing = (calibrated.audited[name] for name in ("rows", "claims", "missing"))
        counts = (
            f"{rows} rows: {claims} have enough images for a claim, {missing} have no value, with the reason"
        )
        typer.echo(f"judge report: {calibrated.judge_report} ({counts})")


def _judge_cells(row: JudgeCalibration) -> tuple[str, ...]:
    return (
        row.judge,
        row.attributes,
        f"{row.anchors:.0f}",
        f"{row.smallest_row:.0f}",
        _number(row.condition, ".2f"),
        _recall(row.recall),
        _p_value(row.independence),
        row.verdict,
    )


def _stratum_cells(row: StratumTest) -> tuple[str, ...]:
    return (
        row.judge,
        row.attribute,
        row.group,
        row.strata,
        _shares(row.wrong),
        _shares(row.abstained),
        _p_value(row.p_value),
    )


def _recall(recall: Mapping[str, float]) -> str:
    """Recall of every group; for joint attributes, only the smallest."""
    known = {group: share for group, share in recall.items() if share == share}
    if known and any("*" in group for group in known):
        worst = min(known, key=lambda group: known[group])
        known = {worst: known[worst]}
    return ", ".join(f"{group} {share:.3f}" for group, share in known.items()) or "-"


def _shares(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {_number(share, '.3f')}" for name, share in shares.items())


def _p_value(value: float) -> str:
    return "<0.001" if value < 0.001 else _number(value, ".3f")


def _number(value: float, form: str) -> str:
    return format(value, form) if value == value else "-"
