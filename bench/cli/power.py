"""``evenhand power``: compute how many images a claim needs."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Annotated, Any

import typer

from evenhand.bench.cli.shared import Json, examples

app = typer.Typer()

DEFAULTS: dict[str, tuple[float, ...]] = {
    "half_widths": (0.1, 0.05, 0.03),
    "differences": (0.1, 0.05, 0.03),
    "cells": (0.1, 0.05, 0.02),
}
"""Goals that are shown when none is given."""

HEADINGS = ("goal", "value", "independent images", "images per occupation", "total images")

Goal = list[float] | None


@app.command(
    epilog=examples(
        "evenhand power",
        "evenhand power --half-width 0.05 --sensitivity 0.9 --specificity 0.95",
        "evenhand power --difference 0.05 --concepts 20 --correlation 0.02",
        "evenhand power --cell 0.02 --json",
    )
)
def power(
    half_width: Annotated[
        Goal, typer.Option(metavar="W", help="Half-width of the interval of a share; repeatable.")
    ] = None,
    difference: Annotated[
        Goal,
        typer.Option(metavar="D", help="Difference in mean Delta between two methods to detect; repeatable."),
    ] = None,
    cell: Annotated[
        Goal,
        typer.Option(
            metavar="P",
            help="Share of a rare cell to observe at least once (with 95% probability); repeatable.",
        ),
    ] = None,
    concepts: Annotated[int | None, typer.Option(metavar="N", help="Number of occupations.")] = None,
    templates: Annotated[
        int | None, typer.Option(metavar="N", help="Number of templates per occupation.")
    ] = None,
    correlation: Annotated[
        float | None, typer.Option(metavar="R", help="Intraclass correlation within a template.")
    ] = None,
    sensitivity: Annotated[float | None, typer.Option(metavar="P", help="Sensitivity of the judge.")] = None,
    specificity: Annotated[float | None, typer.Option(metavar="P", help="Specificity of the judge.")] = None,
    share: Annotated[
        float | None, typer.Option(metavar="P", help="Share to estimate; 0.5 is the worst case.")
    ] = None,
    power: Annotated[
        float | None, typer.Option(metavar="P", help="Probability of detecting the difference.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compute how many images a claim needs.

    Counts are of images with a decided label: add the undetermined rate.
    Plan with the last two counts of a row. They account for judge errors
    and for the correlation of images of one template. The assumptions are
    printed below the table.
    """
    from evenhand.bench.cli.console import write_json, write_table
    from evenhand.metrics.statistics.sample_size import Design, plan_sizes

    given: dict[str, Any] = {
        "concepts": concepts,
        "templates": templates,
        "correlation": correlation,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "share": share,
        "power": power,
    }
    design = Design(**{name: value for name, value in given.items() if value is not None})
    asked = {"half_widths": half_width, "differences": difference, "cells": cell}
    claims = {name: tuple(values) for name, values in asked.items() if values} or DEFAULTS
    needs = plan_sizes(design, **claims)
    if as_json:
        write_json({"design": asdict(design), "needs": [asdict(need) for need in needs]})
        return
    write_table(HEADINGS, [list(asdict(need).values()) for need in needs])
    typer.echo()
    write_table(("", ""), [(field.name, getattr(design, field.name)) for field in fields(design)])
