"""``evenhand board``: the published entries and the leaderboard made from them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenhand.bench.commands.shared import examples

app = typer.Typer(
    name="board",
    help="Check the published entries and build the leaderboard.",
    epilog=examples("evenhand board check", "evenhand board build"),
)

Entries = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the published entries.")]


@app.command(epilog=examples("evenhand board check", "evenhand board check --entries my-entries"))
def check(entries: Entries = Path("reports/entries")) -> None:
    """Check that every published entry is valid and comparable."""
    from evenhand.bench import board

    typer.echo(f"{len(board.check(entries))} entries in {entries} are valid")


@app.command(
    epilog=examples(
        "evenhand board build",
        "evenhand board build --check",
        "evenhand board build --site site --run runs/mini",
    )
)
def build(
    entries: Entries = Path("reports/entries"),
    out: Annotated[Path, typer.Option(metavar="FILE", help="The board.")] = Path("leaderboard.md"),
    only_check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if out of date.")] = False,
    site: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the board as pages, too.")] = None,
    runs: Annotated[
        list[Path] | None,
        typer.Option("--run", metavar="RUN", help="Run whose pictures the pages show; may be repeated."),
    ] = None,
) -> None:
    """Build the leaderboard from the published entries."""
    from evenhand.bench import board, board_site

    board_site.check_options(site, runs=runs or (), only_check=only_check)
    board.build(entries, out, check=only_check)
    typer.echo(f"board: {out}" + (" is up to date" if only_check else ""))
    if site is not None:
        files = board_site.build_site(entries, site, runs=runs or ())
        typer.echo(f"site: {site / 'index.html'} and {files - 1} more files")


@app.command(epilog=examples("evenhand board submit runs/mini"))
def submit(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    entries: Entries = Path("reports/entries"),
) -> None:
    """Write the results of a run as entries of the board."""
    from evenhand.bench import board

    for path in board.submit(run, entries):
        typer.echo(f"entry: {path}")
