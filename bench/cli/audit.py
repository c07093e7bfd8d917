"""``evenhand audit``: judge and measure images that were made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenhand.bench.cli.shared import Engine, Json, Online, Workers, examples, write_run

app = typer.Typer()


@app.command(
    epilog=examples(
        "evenhand audit images --prompts list.csv --suite mini-quick",
        "evenhand audit images --prompts list.csv --judge clip-s --judge vit",
        "evenhand audit images --prompts list.csv --suite mini --anchors labels.csv",
    )
)
def audit(
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="Folder of PNG, JPEG or WebP files.")],
    prompts: Annotated[
        Path, typer.Option(metavar="CSV", help="What each was asked to show: file,prompt,concept,…")
    ],
    suite: Annotated[
        str | None,
        typer.Option(metavar="SUITE", help="Take judges, attributes, target and correction of this suite."),
    ] = None,
    judges: Annotated[
        list[str] | None,
        typer.Option("--judge", metavar="NAME[:k=v,…]", help="A judge, instead of a suite; repeatable."),
    ] = None,
    anchors: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV", help="Correct the judges by labels that people gave: file,attribute,label."
        ),
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Correct the judges by this confusion table.", show_default="the suite's"
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Of several models of the list, the one to compare with.",
            show_default="base, if there is one",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the audit.", show_default="the folder's")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the run.", show_default="runs/NAME")
    ] = None,
    engine: Engine = "local",
    workers: Workers = 0,
    online: Online = False,
    as_json: Json = False,
) -> None:
    """Audit images that were made elsewhere: judge, measure, report. Nothing is generated.

    The same command again goes on where it stopped; no image is judged twice.
    """
    from evenhand.bench.audit import audit as carry_out
    from evenhand.bench.models import hub
    from evenhand.bench.stages.progress import Progress

    hub.permit(online)
    done = carry_out(
        images,
        prompts=prompts,
        suite=suite,
        judges=judges or (),
        anchors=anchors,
        calibration=calibration,
        base=base,
        name=name,
        out=out,
        engine=engine,
        workers=workers,
        progress=Progress(quiet=as_json),
    )
    write_run(done, as_json=as_json)
    for note in () if as_json else done.results[0].notes:
        typer.echo(f"note: {note}", err=True)
