"""The measured labels of a data frame, as data frames, charts, and for reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.correction.calibration import cell_names
from evenhand.metrics.estimation.measure import MeasurePlan
from evenhand.metrics.estimation.panel import PANEL
from evenhand.metrics.rows import EstimateRow, Measurement

if TYPE_CHECKING:
    import altair as alt

NUMBERS = ["value", "low", "high", "floor", "n", "unit"]

SHOWN = ("rms_delta", "worst_cell", "explicit_fidelity", "undetermined")
"""Aggregates shown in texts; :attr:`LabelAudit.overall` has all."""

LONGEST = 24
"""Most lines of the table in a text."""


@dataclass(frozen=True, repr=False)
class LabelAudit:
    """What :func:`evenhand.metrics.audit_labels` found.

    Numbers are those of the panel, corrected for the judges' errors where there is a correction;
    :meth:`to_dataframe` has all of them. Indices have a level ``method`` if there are several methods, and a
    level ``kind`` if some prompts name groups.

    Attributes:
        measurement: All rows: estimates, differences, ranks, agreement, coverage and notes.
        plan: The settings of the measurement.
    """

    measurement: Measurement
    plan: MeasurePlan

    @property
    def overall(self) -> pd.DataFrame:
        """The aggregates over concepts: one row per attribute set and metric, with interval and floor."""
        rows = self._headline()
        rows = rows[(rows["concept"] == "") & (rows["group"] == "")]
        return _indexed(rows, ["method", "kind", "attributes", "metric"], NUMBERS)

    @property
    def by_group(self) -> pd.DataFrame:
        """The share of every group and joint cell with interval and target, mean over concepts.

        Of explicit prompts, it is the share of the images that show the group that their prompt names.
        """
        rows = self._headline()
        of_groups = rows["metric"].isin(["share", "explicit_fidelity"]) & (rows["group"] != "")
        rows = rows[of_groups & (rows["concept"] == "")]
        places = zip(rows["attributes"], rows["group"], strict=True)
        rows = rows.assign(target=[self._target(attributes, group) for attributes, group in places])
        rows.loc[rows["kind"] == "explicit", "target"] = 1.0
        columns = ["value", "low", "high", "target", "n"]
        return _indexed(rows, ["method", "kind", "attributes", "group"], columns)

    @property
    def by_concept(self) -> pd.DataFrame:
        """Every metric of every concept; the level ``group`` is empty except for shares."""
        rows = self._headline()
        rows = rows[rows["concept"] != ""]
        return _indexed(rows, ["method", "kind", "concept", "attributes", "metric", "group"], NUMBERS)

    @property
    def agreement(self) -> pd.DataFrame:
        """Agreement of the judges by attribute; empty for a single judge."""
        return pd.DataFrame([dict(row) for row in self.measurement.agreement])

    @property
    def notes(self) -> list[str]:
        """What a reader must know about the numbers, one sentence each."""
        return list(self.measurement.notes)

    def compare(self) -> pd.DataFrame:
        """Differences of every method from the baseline, paired by prompt and seed.

        Returns:
            One row per method, attribute set, metric and group; ``value`` is the method minus the baseline.
            Distances are compared by ``excess_agreement``, the square of RMSDelta: a difference of roots is
            biased.

        Raises:
            EvenhandError: The audit has no baseline.
        """
        if self.plan.base is None:
            raise EvenhandError("the audit has no baseline; pass base to audit_labels")
        rows = pd.DataFrame([dict(row) for row in self.measurement.differences])
        rows = _corrected_first(rows.rename(columns={"label": "method"}))
        columns = ["value", "low", "high", "n", "p", "p_holm", "unit"]
        index = ["method", "attributes", "metric", "group"]
        kinds = ["kind"] if rows["kind"].nunique() > 1 else []
        return rows.set_index([*kinds, *index])[columns]

    def to_dataframe(self) -> pd.DataFrame:
        """Every estimate of every method and judge, corrected and uncorrected, one row each."""
        return pd.concat(
            [
                pd.DataFrame([dict(row) for row in rows]).assign(method=method)
                for method, rows in self.measurement.estimates.items()
            ],
            ignore_index=True,
        )

    def plot(self, what: Literal["distance", "shares"] = "distance") -> alt.FacetChart:
        """An Altair chart with intervals.

        Args:
            what: ``"distance"`` for the distance from the target of every attribute set, with its floor, or
                ``"shares"`` for the share of every group by concept.

        Raises:
            EvenhandError: ``what`` is unknown.
        """
        from evenhand.metrics.label_audit import plots

        charts: dict[str, Callable[[pd.DataFrame], alt.FacetChart]] = {
            "distance": plots.distance_chart,
            "shares": plots.share_chart,
        }
        if what not in charts:
            raise EvenhandError(f"unknown plot {what!r}; choose one of {', '.join(map(repr, charts))}")
        return charts[what](self._headline())

    def _headline(self) -> pd.DataFrame:
        """The panel's estimates, corrected where there is a correction."""
        rows = self.to_dataframe()
        return _corrected_first(rows[rows["judge"].isin(["", PANEL])])

    def _target(self, attributes: str, group: str) -> float:
        """Target share of a group or cell, mean over concepts."""
        cells = cell_names([self.plan.attributes[name] for name in attributes.split("*")])
        given = self.plan.target.get(attributes)
        if given is None:
            return 1 / len(cells)
        rows = list(given.values()) if isinstance(given, Mapping) else [given]
        return float(np.mean([row[cells.index(group)] for row in rows]))

    def _head(self) -> str:
        """One line: images, judges, target and correction."""
        images = sum(one.made for one in self.measurement.coverage.values())
        judges = [*self.plan.panel, *self.plan.non_voting_judges]
        known = "corrected with the confusion counts" if len(self.plan.confusion) else "not corrected"
        aim = "given" if self.plan.target else "uniform"
        named = ", ".join(judges[:4]) + (", …" if len(judges) > 4 else "")
        methods = len(self.measurement.coverage)
        several = f" of {methods} methods" if methods > 1 else ""
        return f"{images:,} images{several}; judges: {named}; target {aim}; {known}"

    def _shown(self) -> pd.DataFrame:
        """The main aggregates and the shares of single attributes, as texts."""
        rows = self._headline()
        rows = rows[rows["concept"] == ""]
        main = rows[rows["metric"].isin(SHOWN) & (rows["group"] == "")]
        shares = rows[(rows["metric"] == "share") & ~rows["attributes"].str.contains("*", regex=False)]
        both = pd.concat([main, shares])
        texts = pd.DataFrame(
            {
                "method": both["method"],
                "kind": both["kind"],
                "attributes": both["attributes"],
                "metric": (both["metric"] + " " + both["group"]).str.strip(),
                "value": both["value"].map("{:.3f}".format),
                "95% interval": [
                    _interval(low, high) for low, high in zip(both["low"], both["high"], strict=True)
                ],
                "floor": both["floor"].map(lambda floor: "" if pd.isna(floor) else f"{floor:.3f}"),
                "n": both["n"],
            }
        )
        alike = [name for name in ("method", "kind") if texts[name].nunique() < 2]
        return texts.drop(columns=alike)

    def __repr__(self) -> str:
        shown = self._shown()
        lines = shown.head(LONGEST).to_string(index=False).splitlines()
        left = len(shown) - LONGEST
        more = [f"… {left} more rows in .overall and .by_group"] if left > 0 else []
        return "\n".join([self._head(), *lines, *more])

    def _repr_html_(self) -> str:
        """The main aggregates and the shares, for notebooks."""
        table = self._shown().to_html(index=False, border=0)
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        return f"<p>{escape(self._head())}</p>{table}" + (f"<ul>{notes}</ul>" if notes else "")


def _interval(low: float, high: float) -> str:
    return "" if pd.isna(low) or pd.isna(high) else f"{low:.3f} to {high:.3f}"


def _corrected_first(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per number: the corrected one where there is one."""
    same = [name for name in rows.columns if name in {*EstimateRow.model_fields, "method", "against"}]
    same = [name for name in same if name not in {*NUMBERS, "corrected"}]
    return rows.sort_values("corrected", ascending=False, kind="stable").drop_duplicates(same).sort_index()


def _indexed(rows: pd.DataFrame, levels: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """The columns by levels, without the levels of methods and kinds that have one value only."""
    kept = [name for name in levels if name not in ("method", "kind") or rows[name].nunique() > 1]
    return rows.set_index(kept)[list(columns)]
