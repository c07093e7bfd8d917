"""The tables of the page on reproduction, from the tables of the study."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from evenhand.bench.registry import spec_text
from evenhand.bench.registry.method_spec import method_class
from evenhand.bench.studies.coverage import as_markdown
from evenhand.metrics.estimation.losses import MARGIN

FIGURES = {"own": "the authors", "rival": "another paper", "released": "released data"}

SCOPES = {"per-concept": "one model per occupation", "joint": "one model for all"}

METRICS = {"fairimagen_fairness": "fairness (FairImagen)"}
"""Names of metrics, where they are not their keys in words."""

MISSING = "not found"

NOT_RUN = "not run"

VERDICTS = ("reproduced", "partly reproduced", "not reproduced", "no published effect", NOT_RUN)
"""What can be said of a method, best first."""

COUNTED_AS = {"no published effect": "without a published effect"}
"""Verdicts that read otherwise after a number."""

EMPTY = "–"


def parts(tables: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """Name of a part of the page to its Markdown."""
    effects = tables["effects"]
    return {
        "published": as_markdown(_published(effects.drop_duplicates("method"))),
        "sources": "\n".join(_sources(effects.drop_duplicates("method"))),
        "measured": as_markdown(_measured(effects)),
        "effort": as_markdown(_effort(effects)),
        "summary": _summary(effects),
        "because": "\n".join(_because(effects)) or "None.",
        "claims": as_markdown(_claims(tables["claims"])),
    }


def _published(effects: pd.DataFrame) -> pd.DataFrame:
    rows = [
        {
            "method": _link(row.method),
            "effect": _percent(row.paper_effect),
            "before": _number(row.paper_baseline),
            "after": _number(row.paper_value),
            "metric": METRICS.get(row.metric, row.metric.replace("_", " ")) or EMPTY,
            "model": row.model.replace("Stable Diffusion", "SD") or EMPTY,
            "figures by": FIGURES.get(row.figures, EMPTY),
        }
        for row in _rows(effects)
    ]
    return pd.DataFrame(rows)


def _sources(effects: pd.DataFrame) -> list[str]:
    lines = []
    for row in _rows(effects):
        place = f"{row.place}, <{row.link}>; {row.how}." if row.place else ""
        lines.append(" ".join(filter(None, [f"- {_link(row.method)}:", place, row.remark])))
    return lines


def _measured(effects: pd.DataFrame) -> pd.DataFrame:
    rows = [
        {
            "method": f"`{row.method}`",
            "parameters": _parameters(row),
            "RMSDelta": EMPTY if math.isnan(row.value) else f"{row.baseline:.2f} → {row.value:.2f}",
            "effect": _with_interval(row, "effect", _percent),
            "in the paper": _percent(row.paper_effect),
            "ratio": _with_interval(row, "ratio", _number),
            "verdict": f"**{row.verdict}**" if row.verdict == "reproduced" else row.verdict,
            "fidelity lost": _points(row.lost),
        }
        for row in _rows(effects)
    ]
    return pd.DataFrame(rows)


def _parameters(row: Any) -> str:
    """Where the parameters of a row are from; those that a label states, in full."""
    _, given = spec_text.split(row.label, kind="method")
    stated = ", ".join(f"`{spec_text.label('', {name: value})[1:]}`" for name, value in given.items())
    if math.isnan(row.trials):
        return stated or EMPTY
    origin = "tuned" if row.trials else "" if stated else _untuned(row, "by hand")
    return "; ".join(filter(None, [stated, origin]))


def _untuned(row: Any, said: str) -> str:
    """What to say of a method that was not tuned: nothing was missed if it declares nothing to search."""
    return said if method_class(row.method).space() else "nothing to tune"


def _effort(effects: pd.DataFrame) -> pd.DataFrame:
    """What fitting and tuning the methods with a result has taken."""
    rows = [
        {
            "method": f"`{row.label}`",
            "U-Net passes of the fit": f"{row.fit_passes:,.0f}",
            "time": EMPTY if math.isnan(row.fit_seconds) else f"{row.fit_seconds:,.0f} s",
            "fits": f"{row.fits:.0f}",
            "trials of the tuning": f"{row.trials:.0f}" if row.trials else _untuned(row, "not tuned"),
            "training": EMPTY if math.isnan(row.share_trained) else _share(row.share_trained),
        }
        for row in _rows(effects)
        if row.verdict != NOT_RUN
    ]
    return pd.DataFrame(rows)


def _summary(effects: pd.DataFrame) -> str:
    """How many methods have which verdict; of several rows of a method, the best one counts."""
    best = effects["verdict"].map(VERDICTS.index).groupby(effects["method"]).min()
    names = [COUNTED_AS.get(name, name) for name in VERDICTS]
    said = [f"{(best == place).sum()} {name}" for place, name in enumerate(names) if (best == place).any()]
    counted = f"Of {len(best)} published methods: {', '.join(said)}."
    lost = effects[effects["verdict"] == VERDICTS[0]].groupby("method")["lost"].min()
    overriding = (lost > MARGIN).sum()
    if not overriding:
        return counted
    return (
        f"{counted} The effect of {overriding} of the {len(lost)} reproduced ones comes with a loss of "
        f"explicit fidelity of more than {100 * MARGIN:.0f} points: they also override what prompts state."
    )


def _because(effects: pd.DataFrame) -> list[str]:
    return [f"- `{row.label}`: {row.because}" for row in _rows(effects) if row.because]


def _claims(claims: pd.DataFrame) -> pd.DataFrame:
    """One row for every claim and method that MIST is compared with; one column per setting of MIST."""
    rows = []
    for (claim, over), found in claims.groupby(["claim", "over"], sort=False):
        row = {"claim": claim, "compared with": "the baseline" if over == "base" else f"`{over}`"}
        rows.append(row | {SCOPES[one.scope]: _outcome(one) for one in _rows(found)})
    return pd.DataFrame(rows)


def _outcome(row: Any) -> str:
    """MIST's value, the other one, and the verdict."""
    said = f"**{row.verdict}**" if row.verdict == "holds" else row.verdict
    if math.isnan(row.mist):
        return said
    return f"{_with_interval(row, 'mist', _number)}, other {_with_interval(row, 'other', _number)}: {said}"


def _rows(table: pd.DataFrame) -> list[Any]:
    """The rows, untyped, since pandas does not know the types of their columns."""
    return list(table.itertuples())


def _link(method: str) -> str:
    return f"[`{method}`]({method}.md)"


def _with_interval(row: Any, name: str, said: Callable[[float], str]) -> str:
    value, low, high = (getattr(row, part) for part in (name, f"{name}_low", f"{name}_high"))
    if math.isnan(value):
        return EMPTY
    return (
        said(value) if math.isnan(low) or math.isnan(high) else f"{said(value)} ({said(low)} to {said(high)})"
    )


def _number(value: float) -> str:
    return EMPTY if math.isnan(value) else f"{value:z.2f}".replace("-", "−")


def _share(value: float) -> str:
    return f"{value:.0%}" if value >= 0.01 or not value else "under 1%"


def _points(value: float) -> str:
    if math.isnan(value):
        return EMPTY
    number = _percent(value).removesuffix("%")
    return f"{number} point" if number in ("1", "−1") else f"{number} points"


def _percent(value: float) -> str:
    return MISSING if math.isnan(value) else f"{value:z.0%}".replace("-", "−")
