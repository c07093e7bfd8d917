"""``evenhand doctor``: check the installation, and what a suite needs."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Annotated

import typer

from evenhand.bench.cli.shared import Json, OtherModel, OtherSettings, examples
from evenhand.bench.errors import EvenhandError

app = typer.Typer()


@app.command(
    epilog=examples(
        "evenhand doctor",
        "evenhand doctor winobias-gender --json",
        "evenhand doctor gender-fast --model org/my-model",
    )
)
def doctor(
    suite: Annotated[
        str | None,
        typer.Argument(metavar="SUITE", help="Also check what this suite needs: a name, or a TOML file."),
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="NAME[:k=v,…]",
            help="With SUITE: a method of the run; repeatable.",
            show_default="the suite's methods",
        ),
    ] = None,
    model: OtherModel = "",
    settings: OtherSettings = None,
    as_json: Json = False,
) -> None:
    """Check the installation: versions, device, disk space, plug-ins and the bundled model.

    With a suite, also find its model, let every judge label an image, and compare disk and memory with what a
    run needs. Everything that is missing is listed at once; nothing is downloaded.
    """
    from evenhand.bench.cli.console import write_json, write_table
    from evenhand.bench.doctor import examine
    from evenhand.bench.fetching.trial import examine_suite
    from evenhand.bench.models.loading import quiet_loaders
    from evenhand.bench.suites.variant import variant

    if suite is None and (methods or model or settings):
        raise EvenhandError("--method, --model and --set need a SUITE, whose run they belong to; name one")
    with quiet_loaders():
        checks = list(examine())
        if suite is not None:
            checks += examine_suite(variant(suite, model=model, settings=settings or ()), methods)
    if as_json:
        write_json([asdict(check) for check in checks])
    else:
        write_table(("", "", ""), [("ok" if c.ok else "FAULT", c.name, c.detail) for c in checks])
    if not all(check.ok for check in checks):
        if suite is not None and not as_json:
            other = ["--model", model] if model else []
            other += [word for text in settings or () for word in ("--set", text)]
            typer.echo(f"evenhand fetch {shlex.join([suite, *other])} downloads what the hub has")
        raise typer.Exit(EvenhandError.exit_code)
