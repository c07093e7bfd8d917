"""``evenhand power``: how many images a claim needs."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Annotated, Any

import typer

from evenhand.bench.cli.shared import Json, examples

EPILOG = examples(
    "evenhand power",
    "evenhand power --half-width 0.05 --sensitivity 0.9 --specificity 0.95",
    "evenhand power --difference 0.05 --concepts 20 --correlation 0.02",
    "evenhand power --cell 0.02 --json",
)

USUAL: dict[str, tuple[float, ...]] = {
    "half_widths": (0.1, 0.05, 0.03),
    "differences": (0.1, 0.05, 0.03),
    "cells": (0.1, 0.05, 0.02),
}
"""What is planned for where nothing is asked."""

HEADINGS = ("claim", "wanted", "independent images", "images per occupation", "images in all")

Wanted = list[float] | None


def power(
    half_width: Annotated[
        Wanted, typer.Option(metavar="W", help="Half width of the interval of a share; repeatable.")
    ] = None,
    difference: Annotated[
        Wanted, typer.Option(metavar="D", help="Difference of two methods' mean Delta to find; repeatable.")
    ] = None,
    cell: Annotated[
        Wanted, typer.Option(metavar="P", help="Share of a rare cell to see once (95 %); repeatable.")
    ] = None,
    concepts: Annotated[int | None, typer.Option(metavar="N", help="Occupations.")] = None,
    templates: Annotated[int | None, typer.Option(metavar="N", help="Templates of each.")] = None,
    correlation: Annotated[
        float | None, typer.Option(metavar="R", help="Intraclass correlation of the templates.")
    ] = None,
    sensitivity: Annotated[float | None, typer.Option(metavar="P", help="Of the judge.")] = None,
    specificity: Annotated[float | None, typer.Option(metavar="P", help="Of the judge.")] = None,
    share: Annotated[
        float | None, typer.Option(metavar="P", help="Share whose interval is wanted; 0.5 is the worst case.")
    ] = None,
    power: Annotated[
        float | None, typer.Option(metavar="P", help="Probability of finding the difference.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say how many images a claim needs.

    Images are decided ones: add the undetermined rate. The second count of a row is the one to plan for: it
    allows for the judge's errors and for images of one template being alike. What was assumed stands below.
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
    claims = {name: tuple(values) for name, values in asked.items() if values} or USUAL
    needs = plan_sizes(design, **claims)
    if as_json:
        write_json({"design": asdict(design), "needs": [asdict(need) for need in needs]})
        return
    write_table(HEADINGS, [list(asdict(need).values()) for need in needs])
    typer.echo()
    write_table(("", ""), [(field.name, getattr(design, field.name)) for field in fields(design)])
