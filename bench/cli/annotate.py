"""``evenhand annotate``: export images for people to label, and import their labels."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenhand.bench.cli.shared import Json, examples
from evenhand.bench.errors import EvenhandError, unknown

if TYPE_CHECKING:
    from evenhand.bench.annotation.annotations import Imported

app = typer.Typer(
    name="annotate",
    help="Export images for people to label, and import their labels.",
    epilog=examples("evenhand annotate export runs/mini --out batch"),
)


MinPerGroup = Annotated[
    int,
    typer.Option(
        min=1, metavar="N", help="Minimum number of images of each group or cell that the judges perceive."
    ),
]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        "-m",
        metavar="NAME",
        help="A method of the run, besides the baseline. Repeatable.",
        show_default="all methods",
    ),
]
Seed = Annotated[int, typer.Option(metavar="N", help="Seed of the sample.")]


@app.command(
    epilog=examples(
        "evenhand annotate plan runs/mini", "evenhand annotate plan runs/mini --method mist --per-method 330"
    )
)
def plan(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    methods: Methods = None,
    per_method: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Number of images of each method.", show_default="330"),
    ] = None,
    min_per_group: MinPerGroup = 20,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """List the images that people must label to verify the correction. Writes nothing.

    A correction is verified for a method if people labelled at least 300
    images of the baseline and 300 of the method, and these labels do not
    contradict it. The plan has a tenth more, because some images cannot be
    labelled.
    """
    from evenhand.bench.annotation.sample import PER_METHOD, plan_annotation
    from evenhand.bench.cli.console import write_json, write_table

    size = PER_METHOD if per_method is None else per_method
    found = plan_annotation(
        run, methods=methods or (), per_method=size, min_per_group=min_per_group, seed=seed
    )
    tables = {"groups": found.groups, "methods": found.methods}
    if as_json:
        write_json(
            {"needed": found.needed, **{name: table.to_dict("records") for name, table in tables.items()}}
        )
        return
    for table in tables.values():
        write_table(
            [str(name).replace("_", " ") for name in table],
            [[str(cell) for cell in row] for row in table.itertuples(index=False)],
        )
        typer.echo()
    chosen = "".join(f" --method {method}" for method in methods or ())
    typer.echo(
        f"{found.methods['to_label'].sum()} images to label; {found.needed} labelled images of each method "
        "verify its correction"
    )
    typer.echo(f"export: evenhand annotate export {run} --out DIR --per-method {size}{chosen}")


@app.command(
    epilog=examples(
        "evenhand annotate export runs/mini --out batch",
        "evenhand annotate export runs/mini --out batch --n 200 --min-per-group 10",
        "evenhand annotate export runs/mini --out batch --gold agreed.csv",
        "evenhand annotate export runs/mini --out batch --per-method 330",
    )
)
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write; must be new or empty.")],
    n: Annotated[int, typer.Option(min=1, metavar="N", help="Number of images of neutral prompts.")] = 500,
    explicit: Annotated[
        int, typer.Option(min=0, metavar="N", help="Approximate number of images of explicit prompts.")
    ] = 100,
    min_per_group: MinPerGroup = 20,
    per_method: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Number of images of each method, instead of --n and --explicit, to verify the correction.",
        ),
    ] = 0,
    methods: Methods = None,
    gold: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="CSV key,attribute,label of images with agreed labels, to check annotators."
        ),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Sample images of a run for people to label: as a web page, and as a spreadsheet.

    The folder can be given to annotators as it is. The key, which identifies
    the images, stays in the run.
    """
    from evenhand.bench.annotation.batch import export_images
    from evenhand.bench.cli.console import write_table

    if methods and not per_method:
        raise EvenhandError("--method needs --per-method; give the number of images of each method")
    exported = export_images(
        run,
        out,
        n=n,
        explicit=explicit,
        min_per_group=min_per_group,
        per_method=per_method,
        methods=methods or (),
        gold=gold,
        seed=seed,
    )
    columns = list(exported.strata.columns)
    write_table(columns, [list(row) for row in exported.strata.astype(object).itertuples(index=False)])
    counts = f"{exported.images} images, {exported.repeats} shown twice, {exported.gold} gold"
    typer.echo(f"batch {exported.batch}: {counts}")
    typer.echo(f"page: {exported.page}")
    typer.echo(f"sheet: {exported.sheet}")
    typer.echo(f"key (keep it from annotators): {exported.key}")


@app.command(
    "import",
    epilog=examples(
        "evenhand annotate import ann.csv bo.csv cy.csv --run runs/mini",
        "evenhand annotate import tasks.json --run RUN --format label-studio",
    ),
)
def import_(
    annotations: Annotated[
        list[Path], typer.Argument(metavar="ANNOTATIONS…", help="The files of all annotators.")
    ],
    run: Annotated[Path, typer.Option(metavar="RUN", help="Folder of the run whose images were labelled.")],
    layout: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Format of the files: csv, wide, two-row or label-studio.",
            show_default="detected",
        ),
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="How to aggregate labels: dawid-skene or majority.",
            show_default="dawid-skene with three or more annotators, else majority",
        ),
    ] = None,
    keep_all: Annotated[bool, typer.Option("--keep-all", help="Keep annotators who fail a check.")] = False,
    as_json: Json = False,
) -> None:
    """Import human labels into a run, as judges and as anchors. Replaces any earlier import."""
    from typing import cast

    from evenhand.bench.annotation.annotations import import_annotations
    from evenhand.bench.cli.console import write_json
    from evenhand.metrics.annotation.truth import RULES, Rule

    if rule is not None and rule not in RULES:
        raise unknown("rule", rule, RULES)
    imported = import_annotations(
        annotations, run, layout=layout, rule=cast("Rule | None", rule), keep_all=keep_all
    )
    if as_json:
        write_json(_flat(imported))
    else:
        _write(imported)


STATISTICS = {
    "krippendorff_alpha": "alpha",
    "krippendorff_alpha_ordinal": "alpha, ordered groups",
    "fleiss_kappa": "Fleiss' kappa",
    "gwet_ac1": "AC1",
    "cohen_kappa": "Cohen's kappa",
}
"""Agreement coefficients as shown in the terminal."""


def _flat(imported: Imported) -> dict[str, Any]:
    """The import with the fields of an estimate beside those of its line."""
    lines = [
        {name: cell for name, cell in asdict(line).items() if name != "value"} | line.value._asdict()
        for line in imported.agreement
    ]
    return asdict(imported) | {"agreement": lines}


def _write(imported: Imported) -> None:
    from evenhand.bench.cli.console import write_table

    columns = ("annotator", "images", "gold accuracy", "consistency", "alpha", "excluded because")
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
            for check in imported.checks
        ],
    )
    typer.echo()
    write_table(
        ("attribute", "raters", "agreement", "cannot tell as", "value", "95% interval", "images"),
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
            for line in imported.agreement
            if line.main
        ],
    )
    typer.echo()
    for remark in imported.remarks:
        typer.echo(f"note: {remark}")
    for name, count in imported.labelled.items():
        typer.echo(
            f"{name}: {count} of {imported.images} images have a common label ({imported.rules[name]})"
        )
    typer.echo(f"agreement by group and stratum: {imported.agreement_table}")
    typer.echo(f"labels: {imported.labels}")
    typer.echo(f"anchors: {imported.anchors}")


def _number(value: float) -> str:
    return f"{value:.3f}" if value == value else "-"


def _share(value: float, n: int) -> str:
    return f"{value:.0%} of {n}" if n else "-"
