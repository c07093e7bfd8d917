"""``evenhand run``: run methods on a suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenhand.bench.cli.shared import (
    Engine,
    Json,
    Online,
    OpenReport,
    OtherModel,
    OtherSettings,
    SuiteName,
    Workers,
    examples,
    write_run,
)
from evenhand.bench.registry.method_spec import MAX_FITS

if TYPE_CHECKING:
    from evenhand.bench.suites.suite import Suite

app = typer.Typer()


@app.command(
    epilog=examples(
        "evenhand run",
        "evenhand run --open",
        "evenhand run --method base --method mist:step_size=0.3 --limit 8",
        "evenhand run mini --out runs/mine",
        "evenhand run my-suite.toml --dry-run",
        "evenhand run mini --until-decided",
        "evenhand run mini --method uce --fits 3",
        "evenhand run winobias-gender --online",
        "evenhand run gender-fast --model my-model --set protocol.steps=10",
    )
)
def run(
    suite: SuiteName = "mini-quick",
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="NAME[:k=v,…]",
            help="A method to run, with parameters; repeatable.",
            show_default="the suite's methods",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the run.", show_default="runs/SUITE")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=0, metavar="N", help="Use at most N prompts of each prompt set; 0 for all.")
    ] = 0,
    fits: Annotated[
        int,
        typer.Option(
            min=0,
            max=MAX_FITS,
            metavar="N",
            help="Fit each method N times with other seeds; 0 for the suite's number.",
        ),
    ] = 0,
    until_decided: Annotated[
        bool,
        typer.Option(
            "--until-decided",
            help="Double the explicit images, at most three times, until explicit fidelity is decided.",
        ),
    ] = False,
    model: OtherModel = "",
    settings: OtherSettings = None,
    engine: Engine = "local",
    workers: Workers = 0,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print how many images, how much time and how much disk the run needs, and stop.",
        ),
    ] = False,
    open_report: OpenReport = False,
    online: Online = False,
    as_json: Json = False,
) -> None:
    """Run methods on a suite: fit, generate, judge, measure, report.

    To resume an interrupted run, repeat the command. Finished work is reused.

    With --model or --set, the suite becomes another one, named after what differs. Its results share no table
    with those of the suite.
    """
    from evenhand.bench.engines import check_engine
    from evenhand.bench.suites.variant import variant

    chosen = variant(suite, model=model, settings=settings or ())
    if dry_run:
        check_engine(engine, workers=workers)
        options = {"methods": methods, "limit": limit, "fits": fits, "until_decided": until_decided}
        _dry_run(chosen, names=[suite, *filter(None, [model])], as_json=as_json, **options)
        return
    from evenhand.bench.fetching import hub
    from evenhand.bench.run import evaluate
    from evenhand.bench.stages.progress import Progress

    hub.permit(online)
    finished = evaluate(
        chosen,
        methods=methods,
        out=out,
        limit=limit,
        fits=fits,
        until_decided=until_decided,
        engine=engine,
        workers=workers,
        progress=Progress(quiet=as_json),
    )
    write_run(finished, as_json=as_json, open_report=open_report)


def _dry_run(suite: Suite, *, names: Sequence[str], as_json: bool, **options: Any) -> None:
    from evenhand.bench.cli.console import write_json, write_table
    from evenhand.bench.fetching.estimate import downloads, size_of_run
    from evenhand.bench.fetching.planned_images import plan

    rows = [asdict(row) for row in plan(suite, **options)]
    if as_json:
        write_json(rows)
        return
    columns = [name.replace("_", " ") for name in rows[0]]
    write_table(columns, [list(row.values()) for row in rows])
    for line in size_of_run(suite, **options):
        typer.echo(line)
    for line in downloads(suite, methods=options["methods"], names=names):
        typer.echo(line)
