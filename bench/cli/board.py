"""``evenhand board``: check published entries and build the leaderboard from them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from evenhand.bench.cli.shared import Online, examples
from evenhand.bench.errors import EvenhandError
from evenhand.bench.results.entry import EVIDENCES, SAMPLE

app = typer.Typer(
    name="board",
    help="Check the published entries and build the leaderboard.",
    epilog=examples("evenhand board check", "evenhand board build"),
)

Entries = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the published entries.")]

Maintainers = Annotated[
    Path,
    typer.Option(
        metavar="DIR", help="Folder of the maintainers' public keys; never one that came with an entry."
    ),
]

Run = Annotated[
    Path | None, typer.Option("--run", metavar="RUN", help="Use the fitted intervention of this run.")
]


@app.command(epilog=examples("evenhand board check", "evenhand board check --entries my-entries"))
def check(
    entries: Entries = Path("reports/entries"), maintainers: Maintainers = Path("reports/maintainers")
) -> None:
    """Check every published entry and recompute its numbers from its labels. Lists all errors."""
    from evenhand.bench.leaderboard.check import check_entries
    from evenhand.bench.results.entry import entry_name

    sound, faults = check_entries(entries, maintainers=maintainers)
    for fault in faults:
        typer.echo(f"evenhand: {fault}", err=True)
    if faults:
        raise typer.Exit(EvenhandError.exit_code)
    for one in sound:
        notices = "".join(f"; {notice}" for notice in one.outcomes.notices)
        typer.echo(f"{entry_name(one.entry.result)}: {one.evidence}{notices}")
    found = Counter(one.evidence for one in sound)
    counts = ", ".join(f"{found[evidence]} {evidence}" for evidence in EVIDENCES if found[evidence])
    typer.echo(f"{found.total()} entries in {entries} are valid: {counts}")


@app.command(
    epilog=examples(
        "evenhand board build",
        "evenhand board build --check",
        "evenhand board build --excerpt README.md",
        "evenhand board build --site site --run runs/mini",
    )
)
def build(
    entries: Entries = Path("reports/entries"),
    out: Annotated[Path, typer.Option(metavar="FILE", help="The leaderboard file to write.")] = Path(
        "leaderboard.md"
    ),
    excerpt: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the best rows into this page, after <!-- board -->."),
    ] = None,
    only_check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if a file is out of date.")
    ] = False,
    site: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write the leaderboard as a website.")
    ] = None,
    runs: Annotated[
        list[Path] | None,
        typer.Option("--run", metavar="RUN", help="Run whose images the website shows; repeatable."),
    ] = None,
    maintainers: Maintainers = Path("reports/maintainers"),
) -> None:
    """Build the leaderboard from the published entries."""
    from evenhand.bench.leaderboard import build as board
    from evenhand.bench.leaderboard import site as board_site

    board_site.check_options(site, runs=runs or (), only_check=only_check)
    board.build(entries, out, excerpt=excerpt, check=only_check, maintainers=maintainers)
    typer.echo(f"board: {out}" + (" is up to date" if only_check else ""))
    if site is not None:
        files = board_site.build_site(entries, site, runs=runs or (), maintainers=maintainers)
        typer.echo(f"site: {site / 'index.html'} and {files - 1} more files")


@app.command(epilog=examples("evenhand board diff submitted/reports/entries"))
def diff(
    submitted: Annotated[
        Path, typer.Argument(metavar="SUBMITTED", help="Folder of the entries with a submission.")
    ],
    entries: Entries = Path("reports/entries"),
    maintainers: Maintainers = Path("reports/maintainers"),
) -> None:
    """Say which rows of the leaderboard a submission would add, remove or change."""
    from evenhand.bench.leaderboard.diff import board_diff

    lines = board_diff(entries, submitted, maintainers=maintainers)
    for line in lines or ["the submission changes no row"]:
        typer.echo(line)


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
    address: Annotated[
        str,
        typer.Option(metavar="URL", help="Where the method's package can be found; else from its metadata."),
    ] = "",
) -> None:
    """Write the results of a run as leaderboard entries.

    Methods whose fits were pulled from a cache are left out.
    """
    from evenhand.bench.leaderboard.submit import pulled_rows
    from evenhand.bench.leaderboard.submit import submit as submit_run
    from evenhand.bench.storage.stored_run import load_run

    for path in submit_run(run, entries, address=address):
        typer.echo(f"entry: {path}")
    for label in pulled_rows(load_run(run)):
        typer.echo(
            f"not submitted: {label}, whose fit was pulled from a cache; to fit it here, remove its folder "
            f"in {run / 'interventions'} and run the suite again"
        )


@app.command(
    epilog=examples(
        "evenhand board commit reports/entries/uce@mini-v1 --salt secret.txt",
        "evenhand board commit my-entries/* --salt s --holdout-judge clip-weak",
    )
)
def commit(
    entries: Annotated[list[Path], typer.Argument(metavar="ENTRY", help="Folders of entries to verify.")],
    salt: Annotated[Path, typer.Option(metavar="FILE", help="New file for the salt; keep it secret.")],
    holdout: Annotated[
        list[str] | None,
        typer.Option("--holdout-judge", metavar="JUDGE", help="Judge that is held back; repeatable."),
    ] = None,
) -> None:
    """Choose the salt of a verification on fresh noise, and write the commitment to publish first."""
    from evenhand.bench.leaderboard.verification.commitment import commit as make_commitment

    typer.echo(f"commitment: {make_commitment(entries, salt=salt, holdout=holdout or ())}")
    typer.echo(f"salt: {salt}; publish the commitment before you verify, and keep the salt secret until then")


@app.command(
    epilog=examples(
        "evenhand board verify reports/entries/uce@mini-v1",
        "evenhand board verify my-entries/uce@mini-v1 --run runs/mini",
        "evenhand board verify reports/entries/uce@mini-v1 --fresh --salt secret.txt",
    )
)
def verify(
    entry: Annotated[Path, typer.Argument(metavar="ENTRY", help="Folder of an entry that has tables.")],
    images: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help=f"Number of images; {SAMPLE}, or all that the suite plans with --fresh."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, metavar="S", help="Seed of the sample; random by default.")
    ] = None,
    run: Run = None,
    intervention: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Use the fitted intervention in this folder.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Draw new noise and prompts from a salt; needs --salt.")
    ] = False,
    salt: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The salt of `evenhand board commit`.")
    ] = None,
    holdout: Annotated[
        list[str] | None,
        typer.Option("--holdout-judge", metavar="JUDGE", help="The held-back judge of the commitment."),
    ] = None,
    work: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --fresh: keep and reuse images in this folder.")
    ] = None,
    online: Online = False,
) -> None:
    """Regenerate a random sample of an entry's images and labels, and compare them with the entry.

    With --fresh, draw the method and the baseline on noise and prompts that
    the submitter could not know; if all images are drawn, these numbers are
    published. Without --run or --intervention, the method is first fitted
    again with the entry's parameters. On mini this takes seconds to half an
    hour; on full-size models, see the cost stated in the entry.
    """
    from evenhand.bench.fetching import hub
    from evenhand.bench.leaderboard.entries import FRESH_FILE, VERIFICATION_FILE
    from evenhand.bench.leaderboard.verification import fresh as entry_fresh
    from evenhand.bench.leaderboard.verification import verify as entry_verify
    from evenhand.bench.stages.progress import Progress
    from evenhand.reports.leaderboard.evidence import fresh_texts, verification_text

    entry_fresh.check_options(fresh=fresh, salt=salt, seed=seed, holdout=holdout or (), work=work)
    hub.permit(online)
    if salt is not None:
        options = entry_fresh.Options(
            images=images or 0, run=run, intervention=intervention, holdout=holdout or (), work=work
        )
        found = entry_fresh.verify_fresh(entry, salt=salt, options=options, progress=Progress())
        typer.echo(f"{entry.name}: {'. '.join(fresh_texts(found))}")
        typer.echo(f"outcome: {entry / FRESH_FILE}")
        return
    sample = SAMPLE if images is None else images
    repeated = entry_verify.verify(
        entry, images=sample, seed=seed, run=run, intervention=intervention, progress=Progress()
    )
    typer.echo(f"{entry.name} is verified on its own noise: {verification_text(repeated)}")
    typer.echo(f"outcome: {entry / VERIFICATION_FILE}")


@app.command(epilog=examples("evenhand board sign uce@mini-v1/fresh.json --key minisign.key"))
def sign(
    outcomes: Annotated[
        list[Path],
        typer.Argument(metavar="OUTCOME", help="Files that your own `evenhand board verify` has written."),
    ],
    key: Annotated[Path, typer.Option(metavar="KEY", help="Secret key of minisign of a maintainer.")],
) -> None:
    """Sign outcomes of verifications, as the maintainer who verified; unsigned ones count for nothing."""
    from evenhand.bench.leaderboard.verification.signed import sign_outcome
    from evenhand.bench.storage.manifest import has_password

    password = typer.prompt(f"Password of {key}", hide_input=True, err=True) if has_password(key) else None
    for outcome in outcomes:
        typer.echo(f"signature: {sign_outcome(outcome, key=key, password=password)}")
