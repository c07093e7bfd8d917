"""The comparison report: one self-contained HTML page in the style of the audit report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from evenhand.bench.results.comparison import Comparison
from evenhand.bench.results.lookup import Reading
from evenhand.bench.results.result import Run
from evenhand.bench.results.text import attribute, count, plural
from evenhand.reports.comparison import flips, tables
from evenhand.reports.comparison.figures import by_concept, distances
from evenhand.reports.comparison.verdict import compare_verdict
from evenhand.reports.components.bibtex import bibtex
from evenhand.reports.components.exports import tables_archive
from evenhand.reports.components.page import asset, policy, templates
from evenhand.reports.run import sections
from evenhand.reports.run.figures import Figure, figures_archive
from evenhand.reports.run.image_strips import strips
from evenhand.reports.run.judges import judges_table
from evenhand.reports.run.records import estimates_download
from evenhand.reports.run.report_text import EXTERNAL_LIMIT, RUN, report_text_of


def render_comparison(comparison: Comparison) -> str:
    """The comparison as one HTML page; the same comparison gives the same bytes.

    Raises:
        EvenhandError: One of its images cannot be read.
    """
    content = _content(comparison)
    content["tables_file"] = tables_archive(content)
    return templates().get_template("compare.html.j2").render(content)


def _content(comparison: Comparison) -> dict[str, Any]:
    """The variables of the template."""
    results = [side.result for side in comparison.sides]
    readings = {side.label: Reading.of(side.result) for side in comparison.sides}
    external = any(result.spec.external for result in results)
    generated = [result for result in results if not result.spec.external]
    figures = _figures(comparison, readings)
    run = Run(folder="", results=results, timings=[], images=comparison.images)
    return {
        "pairs": comparison.pairs,
        "evenhand": comparison.evenhand,
        "verdict": compare_verdict(comparison, readings),
        "facts": _facts(comparison),
        "terms": _terms(comparison),
        "sides": tables.sides_table(comparison.sides),
        "setup": tables.setup_table(comparison.sides),
        "caveats": comparison.caveats,
        "differences": tables.differences_table(comparison, readings),
        "first": figures[:1],
        "figures": figures[1:],
        "flips": flips.flips_table(comparison),
        "concept_flips": flips.concept_flips_table(comparison),
        "same_noise": comparison.same_noise,
        "strips": strips(run, list(readings)),
        "judges": judges_table(results),
        "coverage": sections.coverage_table(results),
        "labels": sections.labels_table(results, headline=True),
        "cards": sections.method_cards(generated),
        "limits": [*([EXTERNAL_LIMIT] if external else []), *sections.LIMITS],
        "notes": comparison.notes,
        "provenance": sections.provenance_tables(results),
        "report_text": report_text_of(results[0].spec) if external else RUN,
        "copying": True,
        "bibtex": bibtex(results),
        "images_file": figures_archive(figures),
        "policy": policy(asset("export.js")),
        "script": Markup(asset("export.js")),
        "downloads": [
            tables.difference_records(comparison),
            flips.flip_records(comparison),
            estimates_download(list(readings.values())),
        ],
    }


def _figures(comparison: Comparison, readings: Mapping[str, Reading]) -> list[Figure]:
    names = dict.fromkeys([*comparison.attributes, comparison.primary])
    found = [distances(comparison, readings), *(by_concept(comparison, name) for name in names)]
    return [figure for figure in found if figure]


def _facts(comparison: Comparison) -> list[tuple[str, str]]:
    """The key figures of the first screen."""
    pairs = len(comparison.pairs)
    return [
        *([(count(pairs), "pairs")] if pairs > 1 else []),
        (count(comparison.prompts), "shared prompts"),
        (count(comparison.shared), "shared images per side"),
        (count(len(comparison.concepts)), "concepts"),
    ]


def _terms(comparison: Comparison) -> list[tuple[str, str]]:
    """What all sides share."""
    groups = [f"{attribute(name)} ({', '.join(values)})" for name, values in comparison.attributes.items()]
    if comparison.same_noise:
        pairing = "by prompt and seed; a seed stands for the same noise on all sides"
    else:
        pairing = (
            "by prompt and seed, or by position where a list gives no seeds; the sides do not start from the "
            "same noise"
        )
    concepts = f"{count(len(comparison.concepts))}: {', '.join(comparison.concepts)}"
    return [
        ("Pairs", "; ".join(pair.title for pair in comparison.pairs)),
        (
            "Shared",
            f"{plural(comparison.prompts, 'prompt')}, {plural(comparison.shared, 'image')} per side",
        ),
        ("Pairing", pairing),
        ("Perceived attributes", "; ".join(groups)),
        ("Headline", f"distance from the target shares over {attribute(comparison.primary)}"),
        ("Concepts", concepts),
    ]
