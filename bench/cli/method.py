"""``evenhand method``: export fitted methods."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenhand.bench.cli.shared import Online, examples
from evenhand.bench.errors import EvenhandError

app = typer.Typer(
    name="method",
    help="Export fitted methods, for use in diffusers.",
    epilog=examples("evenhand method export mist --run runs/mini-quick --out exported/mist"),
)


@app.command(
    epilog=examples(
        "evenhand method export mist --run runs/mini-quick --out exported/mist",
        "evenhand method export mist:rounds=5 --suite mini-quick --out exported/mist",
        "evenhand method export uce --model my/pipeline --out exported/uce",
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
    online: Online = False,
) -> None:
    """Export a fitted method: the edited model as a diffusers folder, or the intervention with its loader."""
    from evenhand.bench.models import hub
    from evenhand.bench.stages.export import export_fitted, export_from_run
    from evenhand.bench.stages.progress import Progress

    hub.permit(online)
    if run is not None and model is not None:
        raise EvenhandError("--model cannot be combined with --run, which fixes the model; drop one of them")
    if run is not None:
        paths = export_from_run(label, run=run, out=out)
    else:
        paths = export_fitted(label, suite=suite, model=model, out=out, progress=Progress())
    for path in paths:
        typer.echo(str(path))
