"""Which images of a run people are asked to label: the sample of a batch, and the plan of a verification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from evenhand.bench.errors import unknown
from evenhand.bench.policy.correction import VERIFIED_IMAGES
from evenhand.bench.results.result import BASE
from evenhand.bench.results.text import UNDETERMINED
from evenhand.bench.stages.strata import image_strata
from evenhand.bench.storage.frames import judged_tables
from evenhand.bench.storage.run_folder import RunFolder, RunSpec
from evenhand.bench.suites.audit_config import Audit
from evenhand.metrics.annotation.sampling import draw_sample
from evenhand.metrics.estimation.panel import PANEL
from evenhand.metrics.statistics.uncertainty import stream

PER_METHOD = VERIFIED_IMAGES + VERIFIED_IMAGES // 10
"""Images of a method to export: a tenth more than are needed, because people cannot label all of them."""


@dataclass(frozen=True)
class AnnotationPlan:
    """The images that people must label to verify the correction.

    Attributes:
        methods: Columns ``method``, ``images``, ``labelled`` (imported, for the rarest attribute),
            ``to_label``.
        groups: The same images by kind of the prompt and panel vote: columns ``method``, ``kind``, ``vote``,
            ``images``, ``to_label``.
        needed: Labelled images that a verification needs of each method.
    """

    methods: pd.DataFrame
    groups: pd.DataFrame
    needed: int = VERIFIED_IMAGES


def plan_annotation(
    run: Path,
    *,
    methods: Sequence[str] = (),
    per_method: int = PER_METHOD,
    min_per_group: int = 20,
    seed: int = 0,
) -> AnnotationPlan:
    """The plan of an export with the same arguments; nothing is written.

    Args:
        run: Folder of a finished run or audit.
        methods: Methods to verify besides the baseline; all if empty.
        per_method: Number of images of each method.
        min_per_group: Minimum number of images of each group of the panel vote, for each method.
        seed: Seed of the sample.

    Raises:
        EvenhandError: The folder is not a run or has no labels, a method is unknown, or ``per_method`` is too
            small for the strata.
    """
    run_folder = RunFolder(run)
    suite = run_folder.spec()
    frame = strata_of(run_folder, suite, by_method=True)
    sides = with_baseline(frame, suite, methods)
    drawn = sample_by_method(
        frame, sides, n=per_method, min_per_group=min_per_group, rng=stream(seed, "humans")
    )
    chosen = frame[frame["method"].isin(sides)]
    counted = ["method", "kind", "vote"]
    sizes = chosen.groupby(counted, sort=False).size().rename("images").reset_index()
    to_label = drawn.groupby(counted).size().rename("to_label").reset_index()
    groups = sizes.merge(to_label, on=counted, how="left").fillna({"to_label": 0}).astype({"to_label": int})
    totals = groups.groupby("method", sort=False)[["images", "to_label"]].sum()
    totals.insert(1, "labelled", _labelled(run_folder, suite).reindex(totals.index, fill_value=0))
    return AnnotationPlan(totals.reset_index(), groups.sort_values(counted, ignore_index=True))


def _labelled(run_folder: RunFolder, suite: RunSpec) -> pd.Series[int]:
    """Method to its images, shared ones included, that an earlier import labelled."""
    anchors = run_folder.imported_anchors()
    if anchors is None:
        return pd.Series(dtype=int)
    images = run_folder.image_table.read()[["method", "key"]].drop_duplicates()
    known = images.merge(anchors[anchors["label"] != ""], on="key")
    counts = known.groupby(["method", "attribute"]).size().unstack(fill_value=0)
    rarest: pd.Series[int] = counts.reindex(columns=list(suite.taxonomy), fill_value=0).min(axis=1)
    return rarest


def strata_of(run_folder: RunFolder, suite: RunSpec, *, by_method: bool = False) -> pd.DataFrame:
    """The sampling strata of all distinct images of neutral and explicit prompts.

    Strata are stereotype of the occupation (female, male or none) x baseline or debiased (in an audit, the
    model) x panel vote on the primary attributes; explicit prompts have separate strata. Images that several
    methods share belong to the baseline, or else to the first of them.

    Args:
        run_folder: The run.
        suite: Its suite or audit.
        by_method: Whether strata are method x kind of the prompt x panel vote instead.

    Returns:
        Columns ``key``, ``method``, ``kind``, ``vote``, ``stratum``.

    Raises:
        EvenhandError: The run has no images or no labels yet.
    """
    images, labels = judged_tables(run_folder)
    usable = images[(images["status"] == "ok") & images["kind"].isin(["neutral", "explicit"])]
    strata = image_strata(usable, external=isinstance(suite, Audit))
    owners = usable.assign(edited=usable["method"] != BASE).sort_values("edited", kind="stable")
    method = owners.drop_duplicates("key").set_index("key")["method"].reindex(strata.index)
    votes = labels[(labels["judge"] == PANEL) & labels["attribute"].isin(suite.primary)]
    wide = votes.assign(label=votes["label"].where(votes["status"] == "ok", "")).pivot(
        index="key", columns="attribute", values="label"
    )
    cells = wide.reindex(strata.index).reindex(columns=list(suite.primary)).fillna("")
    vote = ["*".join(cell) if all(cell) else UNDETERMINED for cell in cells.itertuples(index=False)]
    side = strata["stereotype"].where(strata["kind"] == "neutral", strata["kind"])
    parts = (method, strata["kind"], vote) if by_method else (side, strata["model"], vote)
    stratum = ["/".join(names) for names in zip(*parts, strict=True)]
    columns = {"method": method, "kind": strata["kind"], "vote": vote, "stratum": stratum}
    return pd.DataFrame(columns, index=strata.index).reset_index(names="key")


def sample_by_kind(
    frame: pd.DataFrame, *, n: int, explicit: int, min_per_group: int, rng: np.random.Generator
) -> pd.DataFrame:
    """``n`` images of neutral prompts and about ``explicit`` images of explicit ones, of all methods."""
    neutral = frame[frame["kind"] == "neutral"]
    parts = [draw_sample(neutral, n=n, rng=rng, min_per_group=min_per_group)]
    asked = frame[frame["kind"] == "explicit"]
    if explicit and len(asked):
        parts.append(
            draw_sample(asked, n=max(explicit, asked["stratum"].nunique()), rng=rng, min_per_group=0)
        )
    return pd.concat(parts, ignore_index=True)


def sample_by_method(
    frame: pd.DataFrame, methods: Sequence[str], *, n: int, min_per_group: int, rng: np.random.Generator
) -> pd.DataFrame:
    """``n`` images of each of ``methods``, or all where there are fewer.

    Raises:
        EvenhandError: ``n`` is too small for the strata.
    """
    parts = [
        draw_sample(frame[frame["method"] == method], n=n, rng=rng, min_per_group=min_per_group)
        for method in methods
    ]
    return pd.concat(parts, ignore_index=True)


def with_baseline(frame: pd.DataFrame, suite: RunSpec, methods: Sequence[str]) -> list[str]:
    """The baseline, if there is one, and ``methods``; all methods if these are empty.

    Raises:
        EvenhandError: A method has no images that are not the baseline's.
    """
    known = list(dict.fromkeys(frame["method"]))
    for method in methods:
        if method not in known:
            raise unknown("method with separate images:", method, known)
    base = suite.base if isinstance(suite, Audit) else BASE
    first = [name for name in known if name == base]
    return list(dict.fromkeys([*first, *(methods or known)]))
