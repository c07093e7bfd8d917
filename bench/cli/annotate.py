"""``evenhand annotate``: give images to people, and take their labels in."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenhand.bench.cli.shared import Json, examples
from evenhand.bench.errors import unknown

if TYPE_CHECKING:
    from evenhand.bench.annotation.annotations import Imported

app = typer.Typer(
    name="annotate",
    help="Give images to people to label, and take their labels in.",
    epilog=examples("evenhand annotate export runs/mini --out handout"),
)


@app.command(
    epilog=examples(
        "evenhand annotate export runs/mini --out handout",
        "evenhand annotate export runs/mini --out handout --n 200 --min-per-group 10",
        "evenhand annotate export runs/mini --out handout --gold agreed.csv",
    )
)
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write; new or empty.")],
    n: Annotated[int, typer.Option(min=1, metavar="N", help="Images of neutral prompts.")] = 500,
    explicit: Annotated[
        int, typer.Option(min=0, metavar="N", help="About so many images of explicit prompts.")
    ] = 100,
    min_per_group: Annotated[
        int, typer.Option(min=1, metavar="N", help="Least images of each group or cell that judges see.")
    ] = 20,
    gold: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CSV key,attribute,label of agreed images that check people."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the draw.")] = 0,
) -> None:
    """Draw images of a run for people to label: a page, and the same as a sheet.

    The folder can be handed out whole. Which image is which stays in the run.
    """
    from evenhand.bench.annotation.batch import export_images
    from evenhand.bench.cli.console import write_table

    done = export_images(run, out, n=n, explicit=explicit, min_per_group=min_per_group, gold=gold, seed=seed)
    columns = list(done.strata.columns)
    write_table(columns, [list(row) for row in done.strata.astype(object).itertuples(index=False)])
    typer.echo(f"export {done.batch}: {done.images} images, {done.repeats} shown twice, {done.gold} gold")
    typer.echo(f"page: {done.page}")
    typer.echo(f"sheet: {done.sheet}")
    typer.echo(f"key (do not hand out): {done.key}")


@app.command(
    "import",
    epilog=examples(
        "evenhand annotate import ann.csv bo.csv cy.csv --run runs/mini",
        "evenhand annotate import tasks.json --run RUN --format label-studio",
    ),
)
def import_(
    answers: Annotated[list[Path], typer.Argument(metavar="ANSWERS…", help="Files of all annotators.")],
    run: Annotated[Path, typer.Option(metavar="RUN", help="Folder of the run that was labelled.")],
    layout: Annotated[
        str | None,
        typer.Option("--format", help="csv, wide, two-row or label-studio.", show_default="detected"),
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="Common label by dawid-skene or majority.",
            show_default="dawid-skene from three annotators on",
        ),
    ] = None,
    keep_all: Annotated[
        bool, typer.Option("--keep-all", help="Count annotators who fail a check all the same.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Take people's answers into a run as judges and anchors; replaces an earlier import."""
    from typing import cast

    from evenhand.bench.annotation.annotations import import_annotations
    from evenhand.bench.cli.console import write_json
    from evenhand.metrics.annotation.truth import RULES, Rule

    if rule is not None and rule not in RULES:
        raise unknown("rule", rule, RULES)
    done = import_annotations(answers, run, layout=layout, rule=cast("Rule | None", rule), keep_all=keep_all)
    if as_json:
        write_json(_plain(done))
    else:
        _write(done)


STATISTICS = {
    "krippendorff_alpha": "alpha",
    "krippendorff_alpha_ordinal": "alpha, ordered groups",
    "fleiss_kappa": "Fleiss' kappa",
    "gwet_ac1": "AC1",
    "cohen_kappa": "Cohen's kappa",
}
"""Names of the coefficients on the screen."""


def _plain(done: Imported) -> dict[str, Any]:
    """The import as JSON takes it: no number that is not finite."""
    value = asdict(done)
    value |= {name: str(value[name]) for name in ("labels", "anchors", "agreement_table")}
    value["checks"] = [
        {name: None if cell != cell else cell for name, cell in asdict(check).items()}
        for check in done.checks
    ]
    value["agreement"] = [
        {name: cell for name, cell in asdict(line).items() if name != "value"}
        | {name: None if cell != cell else cell for name, cell in line.value._asdict().items()}
        for line in done.agreement
    ]
    return value


def _write(done: Imported) -> None:
    from evenhand.bench.cli.console import write_table

    columns = ("annotator", "images", "gold right", "repeats alike", "alpha", "left out because")
    write_table(
        columns,
        [
            (
                check.annotator,
                check.images,
                _share(check.gold_accuracy, check.gold),
                _share(check.consistency, check.repeats),
                _number(check.alpha),
                check.reason,
            )
            for check in done.checks
        ],
    )
    typer.echo()
    write_table(
        ("attribute", "raters", "agreement", "cannot tell is", "value", "95% interval", "images"),
        [
            (
                line.attribute,
                line.raters,
                STATISTICS[line.statistic],
                line.cannot_tell,
                _number(line.value.value),
                f"{_number(line.value.low)} to {_number(line.value.high)}",
                line.value.n,
            )
            for line in done.agreement
            if line.main
        ],
    )
    typer.echo()
    for remark in done.remarks:
        typer.echo(f"note: {remark}")
    for name, count in done.labelled.items():
        typer.echo(f"{name}: {count} of {done.images} images have a common label ({done.rules[name]})")
    typer.echo(f"agreement by group and stratum: {done.agreement_table}")
    typer.echo(f"labels: {done.labels}")
    typer.echo(f"anchors: {done.anchors}")


def _number(value: float) -> str:
    return f"{value:.3f}" if value == value else "-"


def _share(value: float, n: int) -> str:
    return f"{value:.0%} of {n}" if n else "-"
