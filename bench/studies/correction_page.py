"""Tables and figures for the page on the judge correction, from the tables of the study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from evenhand.bench.mini.law import TAXONOMIES, law, occupations
from evenhand.bench.parsing import marked_page
from evenhand.metrics.estimation.panel import PANEL
from evenhand.reports.components.charts import ACCENT, CHANCE, GREY, INK, themed
from evenhand.reports.components.vega import svg_of

Tables = Mapping[str, pd.DataFrame]

NOMINAL = (0.93, 0.97)
"""Range of the coverage in 200 repetitions that is compatible with 95 %."""

JUDGE_NAMES = {
    "clip-xs": "clip-xs, single CLIP",
    PANEL: "panel vote",
    "clip-weak": "clip-weak, deliberately inaccurate",
}
CORRECTIONS = {
    "none": "as labelled",
    "pooled": "corrected",
    "side": "corrected per side",
    "occupation": "corrected per occupation",
}
JOINT = "*".join(TAXONOMIES)
SET_NAMES = {"gender": "gender", JOINT: "gender x tone x age"}
METRIC_NAMES = {"share": "share of women", "rms_delta": "RMSDelta"}

NORMAL = 1.96
"""Half-width of a 95% interval in standard errors."""


def fill(page: str, tables: Tables) -> str:
    """Fill all parts of the page between ``<!-- NAME -->`` and ``<!-- end -->`` from the tables."""
    made = {
        "judges": _judges(tables["recalls"]),
        "exchanged": _estimates(tables["estimates"], "exchanged", "rms_delta"),
        "renders": _estimates(tables["estimates"], "renders", "rms_delta"),
        "share": _estimates(tables["estimates"], "renders", "share", sets=("gender",)),
        "drawn": _estimates(tables["estimates"], "drawn", "rms_delta", sets=("gender",)),
        "coverage": _coverage(tables["estimates"]),
        "transport": _transport(tables["transport"]),
    }
    return marked_page.fill(page, **{name: table.rstrip("\n") for name, table in made.items()})


DEFAULT_DESIGN = "one template"


def _judges(recalls: pd.DataFrame) -> str:
    rows = []
    gender = recalls[recalls["attribute"] == "gender"]
    for (pool, judge), mine in gender.groupby(["pool", "judge"], sort=False):
        whole = mine[mine["occupation"] == "all"].set_index("group")
        single = mine[mine["occupation"] != "all"]
        spans = [single.loc[single["group"] == group, "recall"] for group in TAXONOMIES["gender"]]
        every = float((whole["recall"] * whole["n"]).sum() / whole["n"].sum())
        by_group = [
            f"{whole['recall'][group]:.3f} ({span.min():.2f} to {span.max():.2f})"
            for group, span in zip(TAXONOMIES["gender"], spans, strict=True)
        ]
        rows.append([str(pool), JUDGE_NAMES[str(judge)], f"{whole['n'].sum():,}", f"{every:.3f}", *by_group])
    return _table(["images", "judge", "n", "gender accuracy", "recall of women", "recall of men"], rows)


def _estimates(
    estimates: pd.DataFrame, pool: str, metric: str, *, sets: Sequence[str] = tuple(SET_NAMES)
) -> str:
    """The table of one metric of one pool for some attribute sets."""
    audits = int(estimates["repetitions"].max())
    mine = estimates.query("pool == @pool and metric == @metric and design == @DEFAULT_DESIGN")
    mine = mine[mine["attributes"].isin(list(sets))]
    rows = [
        [
            SET_NAMES[row.attributes],
            row.model,
            JUDGE_NAMES[row.judge],
            _correction(row, audits),
            f"{row.truth:.3f}",
            f"{row.mean:.3f}",
            f"{row.bias:+.3f} ({row.bias_low:+.3f} to {row.bias_high:+.3f})",
            f"{row.rmse:.3f}",
            _percent(row),
        ]
        for row in _rows(mine.sort_values(["attributes", "model"], kind="stable"))
    ]
    heads = ["attributes", "model", "judge", "labels", "truth", "mean", "bias", "RMSE", "coverage"]
    return _table(heads, rows)


def _coverage(estimates: pd.DataFrame) -> str:
    """Coverage by design and judge if the assumption of the correction holds: base and debiased model."""
    mine = estimates[(estimates["pool"] == "exchanged") & (estimates["correction"] == "pooled")]
    measured = list(dict.fromkeys(zip(mine["attributes"], mine["metric"], strict=True)))
    measured = [pair for pair in measured if pair != (JOINT, "share")]
    rows = []
    for (design, judge), part in mine.groupby(["design", "judge"], sort=False):
        cells = []
        for attributes, metric in measured:
            found = part[(part["attributes"] == attributes) & (part["metric"] == metric)]
            cells.append(" / ".join(f"{row.coverage:.1%}, {row.relative_width:.2f}" for row in _rows(found)))
        rows.append([str(design), JUDGE_NAMES[str(judge)], *cells])
    heads = [f"{METRIC_NAMES[metric]}, {SET_NAMES[attributes]}" for attributes, metric in measured]
    return _table(["design", "judge, corrected", *heads], rows)


def _transport(transport: pd.DataFrame) -> str:
    rows = [
        [
            JUDGE_NAMES[row.judge],
            f"{row.anchors:,}",
            f"{row.share:.1%} ({row.low:.1%} to {row.high:.1%})" if row.tested else "no errors to test",
            f"{row.median_p:.2g}" if row.tested else "",
        ]
        for row in _rows(transport)
    ]
    return _table(["judge", "anchors", "significant at 5 %", "median p"], rows)


def _correction(row: Any, audits: int) -> str:
    """The kind of correction, and the number of audits if a matrix could not be used in all of them."""
    text = CORRECTIONS[row.correction]
    if row.correction == "occupation":
        text += f" ({row.occupations:.1f} of them on average)"
    return text if row.repetitions == audits else f"{text} ({row.repetitions} of {audits} audits)"


def _rows(table: pd.DataFrame) -> list[Any]:
    """The rows, untyped, since pandas does not know the types of their columns."""
    return list(table.itertuples())


def _percent(row: Any) -> str:
    return f"{row.coverage:.1%} ({row.coverage_low:.1%} to {row.coverage_high:.1%})"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write_figures(tables: Tables, folder: Path) -> None:
    """Write ``errors.svg``, ``rms-delta.svg`` and ``coverage.svg``."""
    charts = {
        "errors": _errors(tables["recalls"]),
        "rms-delta": _distances(tables["estimates"]),
        "coverage": _coverages(tables["estimates"]),
    }
    for name, chart in charts.items():
        specification = themed(chart).configure(background="white").to_dict()
        (folder / f"{name}.svg").write_text(svg_of(specification), encoding="utf-8")


def _errors(recalls: pd.DataFrame) -> alt.FacetChart:
    """Recall of women and men by the share of women in the occupation."""
    women = dict(zip(occupations(), law(("gender",))[:, 0], strict=True))
    mine = recalls.query("pool == 'renders' and attribute == 'gender' and occupation != 'all'")
    mine = mine[mine["judge"] != PANEL].assign(
        women=mine["occupation"].map(women), judge=mine["judge"].map(JUDGE_NAMES)
    )
    return alt.layer(
        alt.Chart(mine)
        .mark_point(filled=True, size=40, opacity=0.9)
        .encode(
            x=alt.X("women:Q", title="share of women in the occupation", axis=alt.Axis(format="%")),
            y=alt.Y("recall:Q", title="recall", scale=alt.Scale(zero=False), axis=alt.Axis(format="%")),
            color=alt.Color("group:N", title="depicted", scale=alt.Scale(range=[ACCENT, GREY])),
            shape=alt.Shape("group:N", title="depicted"),
        )
        .properties(width=260, height=200)
    ).facet(column=alt.Column("judge:N", title=None))


def _distances(estimates: pd.DataFrame) -> alt.FacetChart:
    """RMSDelta by judge: mean and 95% range of the estimates, and the true value."""
    mine = _named(
        estimates.query("pool == 'renders' and metric == 'rms_delta' and design == @DEFAULT_DESIGN")
    )
    mine = mine.assign(
        low=mine["mean"] - NORMAL * mine["spread"], high=mine["mean"] + NORMAL * mine["spread"]
    )
    y = alt.Y("line:N", sort=list(dict.fromkeys(mine["line"])), title=None, axis=alt.Axis(labelLimit=320))
    x = alt.X("low:Q", title="RMSDelta (line: truth)")
    base = alt.Chart(mine)
    layers = alt.layer(
        base.mark_rule(color=INK, strokeDash=[4, 3]).encode(x="truth:Q"),
        base.mark_rule(color=ACCENT).encode(x=x, x2="high:Q", y=y),
        base.mark_point(color=ACCENT, filled=True, size=45, opacity=1).encode(x="mean:Q", y=y),
    )
    return _faceted(layers)


def _coverages(estimates: pd.DataFrame) -> alt.FacetChart:
    """Coverage of corrected intervals by design if the assumption holds, with the nominal range."""
    mine = estimates[(estimates["pool"] == "exchanged") & (estimates["correction"] == "pooled")]
    mine = _named(mine[mine["metric"] == "rms_delta"])
    mine = mine.assign(line=mine["design"] + ": " + mine["judge"], floor=NOMINAL[0], top=NOMINAL[1])
    y = alt.Y("line:N", sort=list(dict.fromkeys(mine["line"])), title=None, axis=alt.Axis(labelLimit=320))
    x = alt.X("coverage_low:Q", title="coverage of 95 % intervals", axis=alt.Axis(format="%"))
    band = alt.X("floor:Q", scale=alt.Scale(zero=False))
    base = alt.Chart(mine)
    layers = alt.layer(
        base.mark_rect(color=CHANCE, opacity=0.4).encode(x=band, x2="top:Q"),
        base.mark_rule(color=ACCENT).encode(x=x, x2="coverage_high:Q", y=y),
        base.mark_point(color=ACCENT, filled=True, size=45, opacity=1).encode(x="coverage:Q", y=y),
    )
    return _faceted(layers)


def _named(estimates: pd.DataFrame) -> pd.DataFrame:
    judge = estimates["judge"].map(JUDGE_NAMES)
    return estimates.assign(
        line=judge + ": " + estimates["correction"].map(CORRECTIONS),
        facet=estimates["attributes"].map(SET_NAMES) + ", " + estimates["model"] + " model",
    )


def _faceted(layers: alt.LayerChart) -> alt.FacetChart:
    return layers.properties(width=250, height=190).facet(alt.Facet("facet:N", title=None), columns=2)
