"""Options and output that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from evenhand.bench.results.result import Run

Json = Annotated[bool, typer.Option("--json", help="Print JSON only.")]

Online = Annotated[
    bool,
    typer.Option("--online/--offline", help="Allow downloading models and weights from the hub."),
]

SuiteName = Annotated[str, typer.Argument(metavar="SUITE", help="Name of a suite, or a TOML file.")]

OtherModel = Annotated[
    str, typer.Option("--model", metavar="MODEL", help="Another model than the suite's: a folder or hub id.")
]

OtherSettings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Another setting of the suite; repeatable."),
]

Engine = Annotated[
    str,
    typer.Option(metavar="local|ray", help="Work on this machine or on a Ray cluster."),
]

Workers = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="N",
        help="Number of workers that generate images, and of workers that judge them.",
        show_default="one per accelerator if there are several, else no worker processes",
    ),
]


TitleBlockFile = Annotated[
    Path | None,
    typer.Option(
        "--title-block",
        metavar="TOML",
        help="Client, purpose, auditor, scope and thresholds for the sign-off; kept in the run folder.",
    ),
]


OpenReport = Annotated[bool, typer.Option("--open", help="Open the report in a browser.")]


def write_run(run: Run, *, as_json: bool, open_report: bool) -> None:
    """Write the results of a finished run: as JSON, or as verdict, table and path of the report.

    Args:
        run: The run.
        as_json: Whether to write JSON only.
        open_report: Whether to open the report afterwards.
    """
    from evenhand.bench.cli.console import write_json
    from evenhand.bench.report import REPORT_FILE, closing_lines

    path = Path(run.folder) / REPORT_FILE
    if as_json:
        results = [result.model_dump(mode="json") for result in run.results]
        write_json({"run": run.folder, "report": str(path), "results": results})
    else:
        for line in closing_lines(run):
            typer.echo(line)
    finish(path, quiet=as_json, open_report=open_report)


def finish(report: Path, *, quiet: bool, open_report: bool) -> None:
    """Write the path of the report as a link, and open it in a browser if asked.

    Args:
        report: The report.
        quiet: Whether to leave out the path.
        open_report: Whether to open it.

    Raises:
        EvenhandError: There is no browser.
    """
    import webbrowser

    from evenhand.bench.cli.console import write_path
    from evenhand.bench.errors import EvenhandError

    if not quiet:
        write_path("report", report)
    if open_report and not webbrowser.open(report.resolve().as_uri()):
        raise EvenhandError(f"no browser was found; open {report} yourself")


def examples(*commands: str) -> str:
    """The epilog of a command's help: example commands, one per line."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
