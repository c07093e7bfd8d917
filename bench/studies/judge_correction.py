"""The study of the judge correction: does it recover the true values, and when does it fail?

Run ``python -m evenhand.bench.studies.judge_correction --out docs/studies/judge-correction --page
docs/judge-correction.md``. It labels images with known labels once (pools, stored in ``--out``), simulates
audits of two models with known distributions, and writes tables (CSV), figures (SVG) and the tables of the
page.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from evenhand.bench.mini.law import TAXONOMIES, occupations
from evenhand.bench.studies import pool as pools
from evenhand.bench.studies.correction_page import NORMAL, fill, write_figures
from evenhand.bench.studies.pool import Pool
from evenhand.bench.studies.simulation import (
    ANCHORS,
    DESIGNS,
    KEY,
    STRATA,
    Setting,
    anchors_by_side,
    simulate,
)
from evenhand.bench.studies.truth import sides
from evenhand.metrics.correction.transport import errors_by_stratum
from evenhand.metrics.estimation.panel import PANEL
from evenhand.metrics.statistics.uncertainty import ALPHA, holm, stream, wilson

JUDGES = {"clip-xs": STRATA[:1], PANEL: STRATA[:1], "clip-weak": STRATA}
"""The single CLIP, the panel and the inaccurate judge, with the kinds of matrices that correct them."""

COPIES = 1
"""See :func:`evenhand.bench.studies.pool.rendered`: six images of each occupation and joint cell."""

RENDERS_MADE = f"balanced renders, copies {COPIES}, seed {pools.SEED}, through the VAE of mini"
DRAWN_MADE = f"explicit prompts of {pools.EXPLICIT}, every {pools.EVERY} occupations, drawn by mini"

REPETITIONS = 200
TRANSPORT_REPETITIONS = 100
DRAWS = 500
SEED = 0
BLOCK = 10
"""Number of repetitions that share bootstrap indices; the unit of work of a process."""


def summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Bias, error and coverage of all estimates over the repetitions.

    Returns:
        One row per :data:`KEY` (without the repetition) and metric: ``occupations`` (mean number with a
        value), ``truth``, ``mean``, ``bias`` with ``bias_low`` and ``bias_high`` (95 %), ``rmse``,
        ``spread`` (standard deviation of the estimates), ``coverage`` with ``coverage_low`` and
        ``coverage_high`` (Wilson), ``width`` (mean of the intervals), ``relative_width`` (over that of a
        normal interval from the spread), ``concept_coverage`` and ``concept_rmse`` of the shares
        of single occupations, and ``repetitions``.
    """
    runs = runs.assign(
        error=runs["value"] - runs["truth"],
        hit=(runs["low"] <= runs["truth"]) & (runs["truth"] <= runs["high"]),
        length=runs["high"] - runs["low"],
    )
    grouped = runs.groupby([*KEY[1:], "metric"], sort=False)
    count = grouped.size()
    spread = grouped["value"].std()
    table = pd.DataFrame(
        {
            "occupations": grouped["occupations"].mean(),
            "truth": grouped["truth"].mean(),
            "mean": grouped["value"].mean(),
            "bias": grouped["error"].mean(),
            "bias_low": grouped["error"].mean() - NORMAL * spread / np.sqrt(count),
            "bias_high": grouped["error"].mean() + NORMAL * spread / np.sqrt(count),
            "rmse": np.sqrt(grouped["error"].apply(lambda error: (error**2).mean())),
            "spread": spread,
            "coverage": grouped["hit"].mean(),
            "width": grouped["length"].mean(),
            "concept_coverage": grouped["row_hits"].mean(),
            "concept_rmse": np.sqrt(grouped["row_error"].mean()),
            "repetitions": count,
        }
    )
    table["relative_width"] = table["width"] / (2 * NORMAL * table["spread"])
    table["coverage_low"], table["coverage_high"] = wilson(grouped["hit"].sum(), count)
    return table.reset_index()


def transport(pool: Pool, judges: Iterable[str], repetitions: int) -> pd.DataFrame:
    """How often the test finds a difference of gender errors between female and male stereotypes.

    The p-value of a judge is the smaller of the Holm-adjusted p-values of its two groups.

    Returns:
        One row per judge: ``anchors``, ``repetitions``, ``tested`` (those with any error to compare),
        ``share`` of them below 5 % with ``low`` and ``high`` (Wilson), and ``median_p``.
    """
    rows = []
    for judge in judges:
        p = np.array([_transport_p(pool, judge, number) for number in range(repetitions)])
        tested = int(np.isfinite(p).sum())
        hits = int((p < ALPHA).sum())
        low, high = wilson(hits, tested)
        median = float(np.median(p[np.isfinite(p)])) if tested else float("nan")
        share = hits / tested if tested else float("nan")
        rows.append((judge, ANCHORS, repetitions, tested, share, float(low), float(high), median))
    columns = ["judge", "anchors", "repetitions", "tested", "share", "low", "high", "median_p"]
    return pd.DataFrame(rows, columns=columns)


def _transport_p(pool: Pool, judge: str, number: int) -> float:
    gender = ("gender",)
    rng = stream(SEED, "transport", str(number))
    images = anchors_by_side(pool, rng).ravel()
    tests = errors_by_stratum(
        pool.truth(gender, pool.itself)[images],
        pool.labels(judge, gender, pool.itself)[images],
        sides()[pool.table["occupation"].to_numpy()[images]],
        groups=len(TAXONOMIES["gender"]),
        rng=rng,
    )
    adjusted = holm(np.array([test.p_value for test in tests]))
    return float(np.nanmin(adjusted)) if np.isfinite(adjusted).any() else float("nan")


def recalls(renders: Pool, drawn: Pool) -> pd.DataFrame:
    """Recall of all judges: columns pool, judge, attribute, group, occupation (``all`` or one), recall and n.

    Undetermined images count as errors.
    """
    rows = []
    for (name, pool), judge, attribute in product(
        {"renders": renders, "drawn": drawn}.items(), JUDGES, TAXONOMIES
    ):
        truth, label = pool.truth((attribute,), pool.itself), pool.labels(judge, (attribute,), pool.itself)
        where = pool.table["occupation"].to_numpy()
        single = [(occupations()[number], where == number) for number in pool.occupations]
        for occupation, mine in [("all", where >= 0), *(single if attribute == "gender" else [])]:
            for code, group in enumerate(TAXONOMIES[attribute]):
                shown = mine & (truth == code)
                rows.append(
                    (name, judge, attribute, group, occupation, (label[shown] == code).mean(), shown.sum())
                )
    return pd.DataFrame(rows, columns=["pool", "judge", "attribute", "group", "occupation", "recall", "n"])


def study(setting: Setting, *, repetitions: int, workers: int) -> pd.DataFrame:
    """The summary of ``repetitions`` simulated audits; the same for any number of ``workers``."""
    blocks = [range(start, min(start + BLOCK, repetitions)) for start in range(0, repetitions, BLOCK)]
    if workers == 1:
        return summary(pd.concat([simulate(setting, block) for block in blocks], ignore_index=True))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as executor:
        return summary(pd.concat(executor.map(partial(simulate, setting), blocks), ignore_index=True))


def main(
    out: Annotated[Path, typer.Option(help="Folder of the pools, tables and figures.")],
    page: Annotated[Path | None, typer.Option(help="Page whose tables are filled in.")] = None,
    repetitions: Annotated[int, typer.Option(min=2, help="Simulated audits.")] = REPETITIONS,
    draws: Annotated[int, typer.Option(min=100, help="Bootstrap resamples of each.")] = DRAWS,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
) -> None:
    """Run the study."""
    out.mkdir(parents=True, exist_ok=True)
    renders = pools.cached(
        out / "renders.csv",
        partial(pools.rendered, copies=COPIES),
        made=RENDERS_MADE,
    )
    drawn = pools.cached(
        out / "drawn.csv",
        pools.drawn,
        made=DRAWN_MADE,
    )
    parts = []
    pooled = dict.fromkeys(JUDGES, STRATA[:1])
    for name, images, designs, judges in (
        ("exchanged", renders, DESIGNS, pooled),
        ("renders", renders, DESIGNS[:1], JUDGES),
        ("drawn", drawn, DESIGNS[:1], JUDGES),
    ):
        exchanged = name == "exchanged"
        setting = Setting(images, renders, designs, judges, draws, SEED, exchanged=exchanged)
        found = study(setting, repetitions=repetitions, workers=workers)
        found.insert(0, "pool", name)
        parts.append(found)
    tables = {
        "estimates": pd.concat(parts, ignore_index=True),
        "transport": transport(renders, JUDGES, TRANSPORT_REPETITIONS),
        "recalls": recalls(renders, drawn),
    }
    for name, table in tables.items():
        table.to_csv(out / f"{name}.csv", index=False, float_format="%.6g")
        tables[name] = pd.read_csv(out / f"{name}.csv")
    write_figures(tables, out)
    if page is not None:
        page.write_text(fill(page.read_text(encoding="utf-8"), tables), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
