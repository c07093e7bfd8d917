"""``evenhand tune``: search over a method's parameters on development prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenhand.bench.cli.shared import Json, Online, examples

app = typer.Typer()


@app.command(
    epilog=examples(
        "evenhand tune fair-diffusion --suite mini-2",
        "evenhand tune mist:scope=joint",
        "evenhand tune my-method --suite my-suite.toml --workers 2",
    )
)
def tune(
    method: Annotated[
        str, typer.Argument(metavar="METHOD", help="Name of a method; given parameters stay fixed.")
    ],
    suite: Annotated[
        str, typer.Option(metavar="SUITE", help="A suite with development prompts, or its TOML file.")
    ] = "mini-2",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the records.")] = Path("tuning"),
    work: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the trials' images; can be deleted afterwards.")
    ] = Path("runs/tuning"),
    workers: Annotated[int, typer.Option(min=1, metavar="N", help="Trials that run at the same time.")] = 1,
    online: Online = False,
    as_json: Json = False,
) -> None:
    """Search over a method's parameters on the suite's development prompts.

    Scored prompts and concepts are never used. To resume an interrupted search, repeat the command.
    """
    from evenhand.bench.cli.console import write_json, write_table
    from evenhand.bench.fetching import hub
    from evenhand.bench.stages.progress import Progress
    from evenhand.bench.suites.suite import load_suite
    from evenhand.bench.tuning.summary import closing_lines, trial_table, write_page
    from evenhand.bench.tuning.tune import record_path
    from evenhand.bench.tuning.tune import tune as search

    hub.permit(online)
    resolved = load_suite(suite)
    progress = Progress(quiet=as_json)
    record = search(method, resolved, out=out, work=work, workers=workers, progress=progress)
    path = record_path(out, record.suite, record.method)
    page = path.with_suffix(".html")
    write_page(record, page, suite=resolved)
    if as_json:
        write_json({"record": str(path), "page": str(page), **record.model_dump(mode="json")})
        return
    write_table(*trial_table(record))
    for line in [*closing_lines(record), f"record: {path}", f"page: {page}"]:
        typer.echo(line)
