"""``evenhand compare``: what differs between methods, models or runs on the images that all have."""

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
            metavar="RUN…", help="Two or more finished runs or audits; RUN@METHOD for one method."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The page.")] = Path("comparison.html"),
    record: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write every number as JSON, too.")
    ] = None,
) -> None:
    """Compare runs in pairs, by prompt and seed. Nothing is generated or judged.

    A difference is that of a later run minus an earlier one.
    """
    from evenhand.bench.cli.console import write_table
    from evenhand.bench.comparison.compare import compare as carry_out
    from evenhand.bench.storage.store import write_atomically
    from evenhand.reports.comparison.tables import summary

    done = carry_out(*runs, out=out)
    if record is not None:
        write_atomically(record, done.to_json().encode())
    write_table(*summary(done))
    for caveat in done.caveats:
        typer.echo(f"note: {caveat}", err=True)
    typer.echo(f"comparison: {out}")
