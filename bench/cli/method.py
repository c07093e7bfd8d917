"""``evenhand method``: export fitted methods, and check methods against the contract."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from evenhand.bench.cli.shared import Online, examples
from evenhand.bench.errors import EvenhandError

app = typer.Typer(
    name="method",
    help="Export fitted methods, for use in diffusers, and check new ones against the contract.",
    epilog=examples(
        "evenhand method export mist --run runs/mini-quick --out exported/mist",
        "evenhand method check --path my_method.py:MyMethod",
    ),
)


class ExportForm(StrEnum):
    """What an export of a weight edit contains."""

    DIFFUSERS = "diffusers"
    LORA = "lora"


@app.command(
    epilog=examples(
        "evenhand method export mist --run runs/mini-quick --out exported/mist",
        "evenhand method export mist:rounds=5 --suite mini-quick --out exported/mist",
        "evenhand method export uce --model my/pipeline --out exported/uce",
        "evenhand method export mist --format lora --out exported/mist-lora",
    )
)
def export(
    label: Annotated[
        str, typer.Argument(metavar="NAME", help="Label of a method in the run, or NAME[:k=v,…].")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write; must be new or empty.")],
    run: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Export from this run; without it, the method is fitted first."),
    ] = None,
    suite: Annotated[
        str, typer.Option(metavar="SUITE", help="Without --run: the suite to fit the method to.")
    ] = "mini-quick",
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Without --run: the model to edit.", show_default="the suite's"),
    ] = None,
    form: Annotated[
        ExportForm,
        typer.Option("--format", help="The whole edited model, or a LoRA of a weight edit."),
    ] = ExportForm.DIFFUSERS,
    error: Annotated[
        float,
        typer.Option(metavar="X", help="With --format lora: largest relative error of a layer's change."),
    ] = 1e-3,
    online: Online = False,
) -> None:
    """Export a fitted method: the edited model as a diffusers folder, or the intervention with its loader.

    With --format lora, a weight edit becomes a LoRA for diffusers, ComfyUI and A1111. It has the lowest rank
    with at most the given error, and its images may differ from those of the edit by one grey level.
    """
    from evenhand.bench.export.export import export_fitted, export_from_run
    from evenhand.bench.export.lora_export import LoraExport, lines_of_run
    from evenhand.bench.fetching import hub
    from evenhand.bench.stages.progress import Progress

    hub.permit(online)
    if run is not None and model is not None:
        raise EvenhandError("--model cannot be combined with --run, which fixes the model; drop one of them")
    lora = form is ExportForm.LORA
    write = LoraExport(error, lines_of_run(run) if run else ()) if lora else None
    if run is not None:
        paths = export_from_run(label, run=run, out=out, write=write)
    else:
        paths = export_fitted(label, suite=suite, model=model, out=out, progress=Progress(), write=write)
    for path in paths:
        typer.echo(str(path))


@app.command(
    epilog=examples(
        "evenhand method check mist",
        "evenhand method check --path my_method.py:MyMethod",
    )
)
def check(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Installed method, or NAME[:k=v,…].")
    ] = None,
    path: Annotated[
        str | None,
        typer.Option(metavar="FILE.py:CLASS", help="Instead of NAME: a class in a file, which is executed."),
    ] = None,
) -> None:
    """Check that a method satisfies the contract, on a small task of the bundled model.

    Prints what passed, and the declared cost of the fit beside the cost that was counted. The exit code is 2
    if a clause is broken.
    """
    from evenhand.bench.cli.console import write_table

    if (name is None) == (path is None):
        raise EvenhandError("give the NAME of an installed method or --path FILE.py:CLASS, and not both")
    from evenhand.bench.method_check.check import check as verdicts
    from evenhand.bench.method_check.check import costs
    from evenhand.bench.method_check.subject import subject_at, subject_of
    from evenhand.bench.models.loading import quiet_loaders

    with quiet_loaders():
        subject = subject_of(name) if name is not None else subject_at(str(path))
        typer.echo(f"{subject.use.label} {subject.use.version} ({subject.origin})")
        failed = 0
        for found in verdicts(subject):
            failed += found.status == "failed"
            typer.echo(f"{found.status:8}{found.sentence}" + (f": {found.detail}" if found.detail else ""))
        if "fitted" in vars(subject):
            write_table(("cost of the fit", "declared", "used"), costs(subject))
    if failed:
        raise typer.Exit(EvenhandError.exit_code)
