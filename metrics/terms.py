"""Terms shared by prompts, metrics and reports: kinds of prompts, cells, the panel, titles of the metrics.

Imports no numpy: reports use these terms through :mod:`evenhand.bench.results`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

KINDS = {
    "neutral": "neutral prompts",
    "explicit": "explicit prompts",
    "over_correction": "over-correction prompts",
    "unrelated": "unrelated prompts",
    "person": "prompts without an occupation",
}
"""What a prompt is for, with its title; the kind of the headline first.

``explicit`` prompts name their cell, ``over_correction`` prompts have one where the subject implies it;
``neutral``, ``unrelated`` (no person) and ``person`` (no occupation) have none.
"""

PANEL = "panel"
"""The judge that stands for the panel's vote in every table and result."""

UNDETERMINED = "undetermined"
"""What is shown in place of a group that nobody could decide on."""

_PART = re.compile(r"([a-z][a-z0-9_]*)=([^\s=*]+(?: [^\s=*]+)*)")
"""A group may be several words ("East Asian"); "*" joins the groups of a cell's name."""


def format_cell(cell: Mapping[str, str]) -> str:
    """The cell as text: ``"gender=woman;tone=dark"``."""
    return ";".join(f"{attribute}={group}" for attribute, group in cell.items())


def parse_cell(text: str) -> dict[str, str]:
    """Attribute to group; the reverse of :func:`format_cell`. The empty text is the empty cell.

    Raises:
        ValueError: The text is not of that form, or names an attribute twice.
    """
    cell: dict[str, str] = {}
    shown = repr(text if len(text) <= 60 else f"{text[:60]}…")
    for part in text.split(";") if text else []:
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"cell must be attribute=group, several separated by ';', got {shown}")
        if match[1] in cell:
            raise ValueError(f"cell must name each attribute once, got {shown}")
        cell[match[1]] = match[2]
    return cell


@dataclass(frozen=True, kw_only=True)
class MetricTerms:
    """How a metric is named and shown.

    Attributes:
        title: Its name for readers.
        meaning: What the ends of the scale mean, in one clause; may be empty.
        better: Which direction is better; empty where neither is.
        percent: Whether it is shown in per cent, as shares and rates are.
        kinds: Kinds of prompts shown side by side; empty for the first that was measured, in the order of
            :data:`KINDS`.
    """

    title: str
    meaning: str = ""
    better: Literal["lower", "higher", ""] = ""
    percent: bool = False
    kinds: tuple[str, ...] = ()


METRIC_TERMS = {
    "share": MetricTerms(title="Share", percent=True),
    "rms_delta": MetricTerms(
        title="Distance from the target shares (RMSDelta)",
        meaning="0: every group has its target share; 1: one group only; the root of the excess agreement; "
        "small samples do not inflate it",
        better="lower",
    ),
    "excess_agreement": MetricTerms(
        title="Excess agreement (squared RMSDelta)",
        meaning="how much more often two images of one concept show the same group than with even shares, "
        "for an even target; 0: as often, 1: always; may fall below 0 by chance",
        better="lower",
    ),
    "deviation_ratio": MetricTerms(
        title="Deviation ratio",
        meaning="as published for UCE, TIME and MIST; 0: even shares, 1: one group only",
        better="lower",
    ),
    "delta_tv": MetricTerms(
        title="Normalised total variation",
        meaning="0: target shares, 1: the rarest target group only",
        better="lower",
    ),
    "squared_deviation": MetricTerms(
        title="Unbiased squared deviation",
        meaning="0 in expectation for a fair model; may be negative",
        better="lower",
    ),
    "worst_cell": MetricTerms(
        title="Worst cell",
        meaning="share of the least represented group or cell, relative to its target",
        better="higher",
        percent=True,
    ),
    "total_correlation": MetricTerms(
        title="Entanglement (total correlation)",
        meaning="0: the attributes are independent of one another",
        better="lower",
    ),
    "undetermined": MetricTerms(
        title="Undetermined",
        meaning="images the judges could not label; counted, never dropped",
        better="lower",
        percent=True,
    ),
    "explicit_fidelity": MetricTerms(
        title="Explicit fidelity, worst group",
        meaning="images that show the group the prompt names, in the group served worst",
        better="higher",
        percent=True,
    ),
    "over_correction": MetricTerms(
        title="Over-correction",
        meaning="images of a defined person shown otherwise than the prompt defines",
        better="lower",
        percent=True,
    ),
    "alignment": MetricTerms(
        title="Prompt alignment",
        meaning="how well a scorer finds the image to fit the prompt; the scorer may prefer some groups",
        better="higher",
        kinds=("neutral", "unrelated"),
    ),
    "preservation_distance": MetricTerms(
        title="Change of unrelated images",
        meaning="same seed, before and after; 0: unchanged, 1: as different as two seeds of the baseline",
        better="lower",
    ),
    "normalised_entropy": MetricTerms(title="Normalised entropy", better="higher"),
    "kl_divergence": MetricTerms(title="KL divergence from the target", better="lower"),
    "shen_bias": MetricTerms(title="Mean pairwise difference (Shen et al.)", better="lower"),
    "fd_l2": MetricTerms(title="Fairness discrepancy (L2)", better="lower"),
    "js_divergence": MetricTerms(title="Jensen-Shannon divergence from the target", better="lower"),
    "mean_absolute_deviation": MetricTerms(title="Mean absolute deviation (DALL-Eval, HEIM)", better="lower"),
    "min_max_ratio": MetricTerms(title="Rarest over most frequent group", better="higher"),
    "bigbench_implicit": MetricTerms(title="BIGbench implicit score", better="higher"),
    "marginal_imbalance": MetricTerms(title="Marginal imbalance", better="lower"),
    "mutual_information": MetricTerms(title="Mutual information of concept and group", better="lower"),
    "stereotype_amplification": MetricTerms(title="Amplification of the target's lean", better="lower"),
    "fidelity_gap": MetricTerms(title="Explicit fidelity, gap between groups", better="lower", percent=True),
    "override": MetricTerms(title="Overridden explicit prompts", better="lower", percent=True),
}
"""The built-in metrics by name, for their cards (:mod:`evenhand.metrics.catalog`) and for the reports."""
