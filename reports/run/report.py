"""The audit report: one self-contained HTML page rendered from a run.

The page needs no network, no script and no other file. All logic is in Python; the templates only place and
escape the values that they are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from evenhand.bench.errors import EvenhandError
from evenhand.bench.policy.marks import marks
from evenhand.bench.policy.outcomes import Outcomes
from evenhand.bench.results.lookup import (
    Key,
    Reading,
    attribute_names,
    ordered,
    primary_key,
    widest_set,
)
from evenhand.bench.results.result import Run
from evenhand.bench.results.title_block import TitleBlock
from evenhand.reports.components.bibtex import bibtex
from evenhand.reports.components.exports import tables_archive
from evenhand.reports.components.inline_code import with_code
from evenhand.reports.components.page import asset, policy, templates
from evenhand.reports.first_screen.lines import MethodLine, method_lines
from evenhand.reports.first_screen.screen import first_screen
from evenhand.reports.gallery.links import Links
from evenhand.reports.run import sections
from evenhand.reports.run.distances import distances_table, fits_table
from evenhand.reports.run.figures import Figure, by_judge, cells, figures_archive, occupations, overview
from evenhand.reports.run.image_strips import UNRELATED, before_and_after, strips
from evenhand.reports.run.judge_errors import corrections, errors_figure, errors_tables
from evenhand.reports.run.judges import agreement_table, dependence_table, judges_table
from evenhand.reports.run.method_table import cost_table, method_table
from evenhand.reports.run.pareto import fairness_trade_offs, strengths
from evenhand.reports.run.records import comparisons_download, estimates_download
from evenhand.reports.run.report_text import report_text_of
from evenhand.reports.run.share_figures import cell_map, group_shares
from evenhand.reports.run.verdict import Verdict, verdict
from evenhand.reports.run.worst import worst_table
from evenhand.reports.sign_off.section import sign_off


def render_audit(
    run: Run, outcomes: Outcomes, *, gallery: Links | None = None, title_block: TitleBlock | None = None
) -> str:
    """The report of ``run`` as one HTML page; the same run gives the same bytes.

    Args:
        run: The run.
        outcomes: The decisions on its methods.
        gallery: Links to the gallery beside the report, if there is one.
        title_block: What an auditor states about the run.

    Raises:
        EvenhandError: The run has no result, or one of its images cannot be read.
    """
    content = _content(read_run(run, outcomes), outcomes, title_block) | {"gallery": gallery}
    content["tables_file"] = tables_archive(content)
    return templates().get_template("audit.html.j2").render(content)


@dataclass(frozen=True)
class RunReading:
    """A run, read for its report.

    Attributes:
        run: The run.
        key: The primary number; ``None`` where it was not measured.
        every: All settings of all methods: the baseline, those that pass every gate, the others.
        readings: The ranked setting of each method. Other strengths are in the figure of strengths only.
        verdict: The verdict.
        lines: A line for each method with its band, its distance and its marks.
    """

    run: Run
    key: Key | None
    every: list[Reading]
    readings: list[Reading]
    verdict: Verdict
    lines: list[MethodLine]


def read_run(run: Run, outcomes: Outcomes) -> RunReading:
    """The run in the order of its report, with its verdict.

    Raises:
        EvenhandError: The run has no result.
    """
    if not run.results:
        raise EvenhandError(f"run {run.folder} has no results to report; run the suite first")
    unordered, failures = [Reading.of(result) for result in run.results], outcomes.failures
    key = primary_key(unordered)
    every = sorted(ordered(unordered, key), key=lambda reading: bool(failures.get(reading.label)))
    readings = [reading for reading in every if reading.label in outcomes.ranked]
    signs = marks(readings, key, outcomes.gates)
    found = verdict(readings, key, failures, outcomes.bands, signs)
    return RunReading(run, key, every, readings, found, method_lines(readings, key, outcomes.bands, signs))


def _content(found: RunReading, outcomes: Outcomes, title_block: TitleBlock | None) -> dict[str, Any]:
    """The variables of the template."""
    run, key, every, readings = found.run, found.key, found.every, found.readings
    results, measured = [reading.result for reading in readings], [reading.result for reading in every]
    external = results[0].spec.external
    timings = {timing.method: timing for timing in run.timings}
    figures = _figures(readings, key)
    return {
        "spec": results[0].spec,
        "first": first_screen(run, readings, key, headline=found.verdict.headline, lines=found.lines),
        "sentences": [with_code(sentence) for sentence in found.verdict.sentences],
        "gates": found.verdict.gates,
        "distances": distances_table(readings, key, {} if external else outcomes.bands) if key else None,
        "fits": fits_table(every, key, {} if external else outcomes.bands) if key else None,
        "facts": sections.facts(measured, methods=len(readings)),
        "tested": sections.tested(results),
        "methods": method_table(readings, key, outcomes.gates, timings),
        "differences": sections.differences_table(every, key) if key else None,
        "worst": worst_table(readings, key.attributes if key else widest_set(readings)),
        "figures": figures,
        "tradeoffs": _tradeoffs(every, readings, key, outcomes),
        "changed": before_and_after(run, readings),
        "strips": strips(run, [reading.label for reading in readings], leave_out=[UNRELATED]),
        "judges": judges_table(results),
        "corrections": [(term, with_code(text)) for term, text in corrections(readings)],
        "errors": errors_figure(readings),
        "matrices": errors_tables(readings),
        "agreement": agreement_table(readings),
        "dependence": dependence_table(readings, key) if key and not external else None,
        "spread": by_judge(readings, key) if key else None,
        "coverage": sections.coverage_table(measured),
        "labels": sections.labels_table(measured, headline=True),
        "cost": None if external else cost_table(readings, timings),
        "cards": [] if external else sections.method_cards(results),
        "limits": sections.limits(results),
        "report_text": report_text_of(results[0].spec),
        "notes": [with_code(note) for note in sections.notes(run)],
        "provenance": sections.provenance_tables(results),
        "environment": results[0].environment,
        "signoff": sign_off(readings, key, outcomes.gates, timings=run.timings, title_block=title_block),
        "copying": True,
        "bibtex": bibtex(measured),
        "images_file": figures_archive(figures),
        "policy": policy(asset("export.js")),
        "script": Markup(asset("export.js")),
        "downloads": [
            estimates_download(every),
            comparisons_download(every),
            sections.labels_table(measured).download,
        ],
    }


def _figures(readings: Sequence[Reading], key: Key | None) -> list[Figure]:
    """Overview, then concepts, groups of each attribute, and joint cells."""
    names = attribute_names([reading.result for reading in readings])
    found = [overview(readings, key)] if key else []
    sets = dict.fromkeys([*names, *([key.attributes] if key else [])])
    found += [figure for name in sets if (figure := occupations(readings, name))]
    found += [figure for name in names if (figure := group_shares(readings, name))]
    joint = widest_set(readings)
    return [*found, *(figure for figure in (cell_map(readings, joint), cells(readings, joint)) if figure)]


def _tradeoffs(
    every: Sequence[Reading], readings: Sequence[Reading], key: Key | None, outcomes: Outcomes
) -> list[Figure]:
    """The Pareto planes, then the effect of the strength."""
    if key is None or readings[0].result.spec.external:
        return []
    found = [
        fairness_trade_offs(readings, key, outcomes.failures, bands=outcomes.bands),
        strengths(
            every,
            key,
            outcomes.failures,
            bands=outcomes.bands,
            curves=outcomes.curves,
            ranked=readings,
        ),
    ]
    return [figure for figure in found if figure]
