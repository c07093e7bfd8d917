"""``evenhand compare``: paired differences between methods, models or runs on their shared images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenhand.bench.cli.shared import examples

app = typer.Typer()


@app.command(
    epilog=examples(
        "evenhand compare runs/before runs/after",
        "evenhand compare runs/mini@uce runs/mini@mist --out uce-mist.html",
        "evenhand compare runs/one runs/other --json comparison.json",
    )
)
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN…", help="Two or more finished runs or audits; RUN@METHOD selects one method."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The HTML page to write.")] = Path(
        "comparison.html"
    ),
    record: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write all numbers as JSON.")
    ] = None,
) -> None:
    """Compare finished runs in pairs, matched by prompt and seed. Nothing is generated or judged.

    Each difference is a run listed later minus a run listed earlier.
    """
    from evenhand.bench.cli.console import write_table
    from evenhand.bench.comparison.compare import compare as compare_runs
    from evenhand.bench.storage.files import write_atomically
    from evenhand.reports.comparison.tables import summary

    comparison = compare_runs(*runs, out=out)
    if record is not None:
        write_atomically(record, comparison.to_json().encode())
    write_table(*summary(comparison))
    for caveat in comparison.caveats:
        typer.echo(f"note: {caveat}", err=True)
    typer.echo(f"comparison: {out}")
