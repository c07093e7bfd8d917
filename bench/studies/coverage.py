"""The study of the intervals: how often does each printed interval cover the true value?

Run ``python -m evenhand.bench.studies.coverage --out docs/studies/coverage --page docs/interval-study.md``.
It simulates benchmarks of known models, measures them with the code of the benchmark, and writes one CSV per
design, a summary, and the tables of the page. It resumes: finished repetitions are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from scipy.stats import binom

from evenhand.bench.parsing.marked_page import fill
from evenhand.bench.studies.gate_decisions import decisions, fidelity_intervals
from evenhand.bench.studies.label_tables import (
    ALIGNMENT,
    BASE,
    DESIGNS,
    JUDGE,
    METHOD,
    Design,
    sampled,
    truths,
)
from evenhand.bench.studies.warnings import catches
from evenhand.metrics import catalog
from evenhand.metrics.base import LabelMetric
from evenhand.metrics.estimation.measure import MeasurePlan, measure
from evenhand.metrics.statistics.uncertainty import ALPHA, clopper_pearson, holm, stream

REPETITIONS = 1000
DRAWS = 1000
SEED = 0
BLOCK = 50
"""Repetitions between two writes."""

ASKED = (0.93, 0.97)
"""Coverage that the study asks of every 95 % interval."""

KEY = ["design", "statement", "method", "metric", "attributes", "group"]


def repetition(design: Design, number: int) -> list[dict[str, Any]]:
    """Every printed interval of one simulated benchmark, with the true value."""
    metrics = [metric for metric in catalog.DEFAULT if "neutral" in metric.kinds and metric.interval]
    known = truths(design, [metric for metric in metrics if isinstance(metric, LabelMetric)])
    known |= {(method, "alignment", "", ""): ALIGNMENT for method in (BASE, METHOD)}
    images, labels = sampled(design, stream(SEED, "coverage", design.name, str(number)))
    names = tuple(design.attributes)
    plan = MeasurePlan(
        attributes=design.attributes,
        panel=(JUDGE,),
        joints=() if len(names) == 1 else (names,),
        base=BASE,
        metrics=tuple(metrics),
        draws=DRAWS,
        seed=number,
        intervals="transformed",
    )
    found = measure(images, labels, plan=plan, voted=True)
    finish = {metric.name: metric.finish for metric in metrics}
    rows = []
    for method, estimates in found.estimates.items():
        for row in estimates:
            key = (method, row.metric, row.attributes, row.group)
            if row.judge in ("panel", "") and not row.concept and key in known:
                rows.append(_record("value", method, row, float(finish[row.metric](np.array(known[key])))))
    for pair in found.differences:
        keys = [(side, pair.metric, pair.attributes, pair.group) for side in (pair.label, pair.against)]
        if not pair.concept and all(key in known for key in keys):
            first, second = (known[key] for key in keys)
            rows.append(_record("difference", pair.label, pair, first - second))
    return [{"repetition": number, "design": design.name, **row} for row in rows]


def _record(statement: str, method: str, row: Any, truth: float) -> dict[str, Any]:
    return {
        "statement": statement,
        "method": method,
        "metric": row.metric,
        "attributes": row.attributes,
        "group": row.group,
        "truth": float(truth),
        "value": row.value,
        "low": row.low,
        "high": row.high,
    }


def simulated(design: Design, folder: Path, *, repetitions: int) -> pd.DataFrame:
    """All repetitions of a design; those that its CSV in ``folder`` has are not repeated."""
    path = folder / f"{re.sub('[^a-z0-9]+', '-', design.name)}.csv"
    done = pd.read_csv(path, keep_default_na=False, na_values=["nan"]) if path.exists() else pd.DataFrame()
    known = set(done["repetition"]) if len(done) else set()
    missing = [number for number in range(repetitions) if number not in known]
    for start in range(0, len(missing), BLOCK):
        block = missing[start : start + BLOCK]
        new = pd.DataFrame([row for number in block for row in repetition(design, number)])
        done = pd.concat([done, new], ignore_index=True)
        half = path.with_suffix(".part")
        done.to_csv(half, index=False, float_format="%.6g", na_rep="nan")
        half.replace(path)
    return done[done["repetition"] < repetitions]


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Coverage and bias of every statement that has an interval."""
    rows = rows[np.isfinite(rows["low"].astype(float)) & np.isfinite(rows["high"].astype(float))]
    rows = rows.assign(
        # Six digits are written, so an end that equals the truth may be off by the seventh.
        hit=(rows["low"] - 1e-6 <= rows["truth"]) & (rows["truth"] <= rows["high"] + 1e-6),
        error=rows["value"] - rows["truth"],
        width=rows["high"] - rows["low"],
    )
    found = rows.groupby(KEY, sort=False, dropna=False).agg(
        repetitions=("hit", "size"),
        truth=("truth", "first"),
        bias=("error", "mean"),
        width=("width", "mean"),
        coverage=("hit", "mean"),
    )
    return found.reset_index()


def coverage_table(found: pd.DataFrame) -> Iterator[str]:
    """Lines of a Markdown table: coverage by design and metric, over attribute sets and groups."""
    yield "| design | statement | metric | intervals | lowest | median | highest |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for (design, statement, metric), rows in found.groupby(["design", "statement", "metric"], sort=False):
        shown = " | ".join(f"{value:.1%}" for value in rows["coverage"].quantile([0, 0.5, 1]))
        yield f"| {design} | {statement} | `{metric}` | {len(rows)} | {shown} |"


def with_p_values(found: pd.DataFrame) -> pd.DataFrame:
    """The statements with the Holm-adjusted p-values of coverages below and above :data:`ASKED`.

    ``p_below`` tests that the coverage is at least 93 %, and ``p_above`` that it is at most 97 %, each by the
    exact binomial distribution of the hits. A count of coverages below 93 % would mostly count chance: among
    hundreds of intervals that cover in 95 %, some are below 93 % in every study.
    """
    n = found["repetitions"].to_numpy()
    hits = np.rint(found["coverage"].to_numpy(float) * n)
    least, most = clopper_pearson(hits, n)
    return found.assign(
        least=least,
        most=most,
        p_below=holm(binom.cdf(hits, n, ASKED[0])),
        p_above=holm(binom.sf(hits - 1, n, ASKED[1])),
    )


def verdicts(found: pd.DataFrame) -> Iterator[str]:
    """Lines of a Markdown table: how many intervals cover as asked, by kind of statement."""
    yield "| statement | intervals | 93 to 97 % not rejected | proven below 93 % | proven above 97 % | mean |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for (statement, metric), rows in with_p_values(found).groupby(["statement", "metric"], sort=False):
        below, above = (int((rows[side] < ALPHA).sum()) for side in ("p_below", "p_above"))
        yield (
            f"| {statement} of `{metric}` | {len(rows)} | {len(rows) - below - above} | {below} | {above} | "
            f"{rows['coverage'].mean():.1%} |"
        )


def outside(found: pd.DataFrame) -> Iterator[str]:
    """Lines about every statement whose coverage is below 93 % by the test, with its 95 % interval."""
    rows = with_p_values(found)
    for row in rows[rows["p_below"] < ALPHA].to_dict("records"):
        subject = " ".join(filter(None, [str(row["attributes"]), str(row["group"])]))
        yield (
            f"- {row['design']}: {row['statement']} of `{row['metric']}` {subject}, {row['method']}: "
            f"{row['coverage']:.1%} ({row['least']:.1%} to {row['most']:.1%})"
        )


def as_markdown(table: pd.DataFrame) -> str:
    """The table in Markdown."""
    head = ["| " + " | ".join(table.columns) + " |", "|" + " --- |" * len(table.columns)]
    return "\n".join(
        [*head, *("| " + " | ".join(row) + " |" for row in table.astype(str).to_numpy().tolist())]
    )


def main(
    out: Annotated[Path, typer.Option(help="Folder of the tables.")],
    page: Annotated[Path | None, typer.Option(help="Page whose tables are filled.")] = None,
    repetitions: Annotated[int, typer.Option(min=1, help="Benchmarks per design.")] = REPETITIONS,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
) -> None:
    """Simulate, summarise, and fill the page."""
    folder = out / "repetitions"
    folder.mkdir(parents=True, exist_ok=True)
    task = partial(simulated, folder=folder, repetitions=repetitions)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        neutral = list(pool.map(task, DESIGNS))
    explicit = pd.DataFrame(fidelity_intervals(repetitions))
    found = summary(pd.concat([*neutral, explicit], ignore_index=True))
    found.to_csv(out / "summary.csv", index=False, float_format="%.4g")
    gates = decisions()
    gates.to_csv(out / "gates.csv", index=False)
    warnings = catches()
    warnings.to_csv(out / "warnings.csv", index=False)
    if page is not None:
        below = "\n".join(outside(found)) or "None."
        text = fill(
            page.read_text(encoding="utf-8"),
            coverage="\n".join(coverage_table(found)),
            verdicts="\n".join(verdicts(found)),
            outside=below,
            gates=as_markdown(gates),
            warnings=as_markdown(warnings),
        )
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
