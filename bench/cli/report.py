"""``evenhand report``: rewrite the report of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenhand.bench.cli.shared import examples

app = typer.Typer()


@app.command(epilog=examples("evenhand report runs/mini-quick"))
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run or audit.")],
) -> None:
    """Rewrite the report of a run from its stored results."""
    from evenhand.bench.report import write_report

    typer.echo(f"report: {write_report(run)}")
