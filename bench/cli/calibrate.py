"""``evenhand calibrate``: measure a run's judges on images that people labelled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenhand.bench.cli.shared import Json, Online, examples

if TYPE_CHECKING:
    from evenhand.bench.calibration.calibrate import Calibrated

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
        typer.Option(metavar="CSV", help="Labels that people gave: key,attribute,label[,probability]."),
    ],
    out: Annotated[Path, typer.Option(metavar="CSV", help="The table, for `calibration` of a suite.")],
    judge_report: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Write how good each judge is, for whom, and how steady."),
    ] = None,
    online: Online = False,
    as_json: Json = False,
) -> None:
    """Measure the judges of a run on anchors, and say which of them may be corrected by that.

    A judge is refused where the correction would do harm. Strata are the kind of the prompt, the stereotype
    of the occupation, and the base model against debiased ones: where a judge errs unlike in them, one table
    does not serve them all.

    With --judge-report the judges are loaded and asked again about the anchors, under other crops, orders of options
    and wordings.
    """
    from evenhand.bench.calibration.calibrate import calibrate_run
    from evenhand.bench.models import hub

    hub.permit(online)
    done = calibrate_run(run, anchors=anchors, out=out, judge_report=judge_report)
    if as_json:
        from evenhand.bench.cli.console import write_json

        write_json(_plain(asdict(done)))
    else:
        _write(done)


def _plain(value: Any) -> Any:
    """The value as JSON has it: missing numbers as null, paths as text."""
    if isinstance(value, dict):
        return {name: _plain(cell) for name, cell in value.items()}
    if isinstance(value, list):
        return [_plain(cell) for cell in value]
    if isinstance(value, Path):
        return str(value)
    return None if value != value else value


def _write(done: Calibrated) -> None:
    from evenhand.bench.cli.console import write_table

    write_table(
        ("judge", "attributes", "anchors", "smallest row", "condition", "recall", "independent", "verdict"),
        [
            (
                row.judge,
                row.attributes,
                f"{row.anchors:.0f}",
                f"{row.smallest_row:.0f}",
                _number(row.condition, ".2f"),
                _recall(row.recall),
                _p_value(row.independence),
                row.verdict,
            )
            for row in done.measured
        ],
    )
    unlike = [row for row in done.carried if not row.alike]
    if unlike:
        typer.echo()
        write_table(
            ("judge", "attribute", "group", "strata", "wrong of decided", "undetermined", "p"),
            [
                (
                    row.judge,
                    row.attribute,
                    row.group,
                    row.strata,
                    _shares(row.wrong),
                    _shares(row.abstained),
                    _p_value(row.p_value),
                )
                for row in unlike
            ],
        )
    typer.echo()
    for remark in done.remarks:
        typer.echo(f"note: {remark}")
    if done.carried:
        typer.echo(
            f"strata: {len(unlike)} of {len(done.carried)} tests find a judge that errs unlike in them"
        )
    if done.untold:
        typer.echo(f"note: {done.untold} labels are empty and count nowhere: people could not tell")
    typer.echo(f"calibration: {done.path} ({done.images} anchors)")
    if done.judge_report is not None:
        rows, claims, missing = (done.audited[name] for name in ("rows", "claims", "missing"))
        counts = f"{rows} rows: {claims} support a claim, {missing} have no value and say why"
        typer.echo(f"judge report: {done.judge_report} ({counts})")


def _recall(recall: Mapping[str, float]) -> str:
    """Every group's, or of a joint attribute the smallest."""
    known = {group: share for group, share in recall.items() if share == share}
    if known and any("*" in group for group in known):
        least = min(known, key=lambda group: known[group])
        known = {least: known[least]}
    return ", ".join(f"{group} {share:.3f}" for group, share in known.items()) or "-"


def _shares(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {_number(share, '.3f')}" for name, share in shares.items())


def _p_value(value: float) -> str:
    return "<0.001" if value < 0.001 else _number(value, ".3f")


def _number(value: float, form: str) -> str:
    return format(value, form) if value == value else "-"
