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
        show_default="one per accelerator; on a CPU, one process on all cores",
    ),
]


def write_run(run: Run, *, as_json: bool) -> None:
    """Write the results of a finished run: as JSON, or as verdict, table and path of the report."""
    from evenhand.bench.cli.console import write_json, write_table
    from evenhand.bench.report import verdict_of
    from evenhand.bench.results.summary import summary

    path = str(Path(run.folder) / "report.html")
    if as_json:
        results = [result.model_dump(mode="json") for result in run.results]
        write_json({"run": run.folder, "report": path, "results": results})
        return
    for line in verdict_of(run).lines:
        typer.echo(line)
    write_table(*summary(run.results))
    typer.echo(f"report: {path}")


def examples(*commands: str) -> str:
    """The epilog of a command's help: example commands, one per line."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
