"""What several commands have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from evenhand.bench.results.result import Run

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]

Online = Annotated[
    bool,
    typer.Option("--online/--offline", help="Fetch models and weights that are not on this machine."),
]

Engine = Annotated[
    str,
    typer.Option(metavar="local|ray", help="Work on this machine, or on a Ray cluster."),
]

Workers = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="N",
        help="Workers that draw, and as many that judge.",
        show_default="one per accelerator; of a CPU, all cores",
    ),
]


def write_run(done: Run, *, as_json: bool) -> None:
    """Write the results of a finished run: JSON, or a table and the place of the report."""
    from evenhand.bench.cli.console import write_json, write_table
    from evenhand.bench.results.summary import summary

    path = str(Path(done.folder) / "report.html")
    if as_json:
        results = [result.model_dump(mode="json") for result in done.results]
        write_json({"run": done.folder, "report": path, "results": results})
        return
    write_table(*summary(done.results))
    typer.echo(f"report: {path}")


def examples(*commands: str) -> str:
    """The end of a command's help: commands that can be typed as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
