"""``evenhand board``: check published entries and build the leaderboard from them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from evenhand.bench.cli.shared import Online, examples
from evenhand.bench.errors import EvenhandError
from evenhand.bench.results.entry import SAMPLE

app = typer.Typer(
    name="board",
    help="Check the published entries and build the leaderboard.",
    epilog=examples("evenhand board check", "evenhand board build"),
)

Entries = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the published entries.")]


@app.command(epilog=examples("evenhand board check", "evenhand board check --entries my-entries"))
def check(entries: Entries = Path("reports/entries")) -> None:
    """Check every published entry and recompute its numbers from its labels. Lists all errors."""
    from evenhand.bench.leaderboard.check import check_entries

    sound, faults = check_entries(entries)
    for fault in faults:
        typer.echo(f"evenhand: {fault}", err=True)
    if faults:
        raise typer.Exit(EvenhandError.exit_code)
    found = Counter(entry.evidence for entry in sound)
    counts = ", ".join(f"{count} {evidence}" for evidence, count in sorted(found.items()))
    typer.echo(f"{found.total()} entries in {entries} are valid: {counts}")


@app.command(
    epilog=examples(
        "evenhand board build",
        "evenhand board build --check",
        "evenhand board build --site site --run runs/mini",
    )
)
def build(
    entries: Entries = Path("reports/entries"),
    out: Annotated[Path, typer.Option(metavar="FILE", help="The leaderboard file to write.")] = Path(
        "leaderboard.md"
    ),
    only_check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if the file is out of date.")
    ] = False,
    site: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write the leaderboard as a website.")
    ] = None,
    runs: Annotated[
        list[Path] | None,
        typer.Option("--run", metavar="RUN", help="Run whose images the website shows; repeatable."),
    ] = None,
) -> None:
    """Build the leaderboard from the published entries."""
    from evenhand.bench.leaderboard import build as board
    from evenhand.bench.leaderboard import site as board_site

    board_site.check_options(site, runs=runs or (), only_check=only_check)
    board.build(entries, out, check=only_check)
    typer.echo(f"board: {out}" + (" is up to date" if only_check else ""))
    if site is not None:
        files = board_site.build_site(entries, site, runs=runs or ())
        typer.echo(f"site: {site / 'index.html'} and {files - 1} more files")


@app.command(epilog=examples("evenhand board remeasure", "evenhand board remeasure --entries my-entries"))
def remeasure(entries: Entries = Path("reports/entries")) -> None:
    """Compute the numbers of all entries again from their labels, after a change of the measurement.

    Images and labels stay as they are, and so do verifications of them.
    """
    from evenhand.bench.leaderboard.remeasure import remeasure as measure_again

    changed = measure_again(entries, report=typer.echo)
    typer.echo(f"{len(changed)} entries in {entries} have changed")


@app.command(epilog=examples("evenhand board submit runs/mini"))
def submit(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    entries: Entries = Path("reports/entries"),
) -> None:
    """Write the results of a run as leaderboard entries."""
    from evenhand.bench.leaderboard.submit import submit as submit_run

    for path in submit_run(run, entries):
        typer.echo(f"entry: {path}")


@app.command(
    epilog=examples(
        "evenhand board verify reports/entries/uce@mini-v1",
        "evenhand board verify my-entries/uce@mini-v1 --run runs/mini",
    )
)
def verify(
    entry: Annotated[Path, typer.Argument(metavar="ENTRY", help="Folder of an entry that has tables.")],
    images: Annotated[int, typer.Option(metavar="N", help="Number of images to regenerate.")] = SAMPLE,
    seed: Annotated[
        int | None, typer.Option(min=0, metavar="S", help="Seed of the sample; random by default.")
    ] = None,
    run: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Use the fitted intervention of this run.")
    ] = None,
    intervention: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Use the fitted intervention in this folder.")
    ] = None,
    online: Online = False,
) -> None:
    """Regenerate a random sample of an entry's images and labels, and compare them with the entry.

    Without --run or --intervention, the method is first fitted again with the
    entry's parameters. On mini this takes seconds to half an hour; on
    full-size models, see the cost stated in the entry.
    """
    from evenhand.bench.leaderboard import verify as entry_verify
    from evenhand.bench.models import hub
    from evenhand.bench.stages.progress import Progress
    from evenhand.reports.leaderboard.evidence import verification_text

    hub.permit(online)
    found = entry_verify.verify(
        entry, images=images, seed=seed, run=run, intervention=intervention, progress=Progress()
    )
    typer.echo(f"{entry.name} is verified: {verification_text(found)}")
