"""Measures the judges of the mini suites on images with known labels.

Run ``python -m evenhand.bench.mini.calibrate`` after any change of a judge; it writes ``confusion.csv``.

The anchors are renders of every occupation, gender, tone, age and style, passed once through the autoencoder
of the model, so that they look like its images: judges would be more accurate on sharp vector art. Anchors
are balanced over the groups of the judges, and over fine tones within a group: the single fine tone of
``medium`` is used twice as often as the two of ``light`` and of ``dark``. Thus a row of a confusion matrix
weights occupations, styles, fine tones and other attributes equally, independent of what an audited model
generates.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, combinations, product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.mini import ROOT
from evenhand.bench.mini.autoencoder import through_autoencoder
from evenhand.bench.mini.law import FINE_TONES, TAXONOMIES, TONE_GROUPS, occupations
from evenhand.bench.mini.world import SPEC_COLUMNS, STYLES, render
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.bench.suites.suite import load_suite
from evenhand.metrics.correction.calibration import confusion_table
from evenhand.metrics.estimation.panel import vote
from evenhand.metrics.judges.base import Images, Judge
from evenhand.metrics.table import label_rows

SEED = 0
COPIES = 2
"""Number of renders of each occupation, gender, age and style per fine tone, in groups with two fine
tones."""

TABLE = ROOT / "confusion.csv"


def anchor_specs(copies: int = COPIES) -> NDArray[np.int64]:
    """Rows for :func:`evenhand.bench.mini.world.render`: 2,880 for each copy."""
    sizes = [list(TONE_GROUPS.values()).count(TONE_GROUPS[fine]) for fine in FINE_TONES]
    times = [copies * max(sizes) // size for size in sizes]
    tones = np.repeat(np.arange(len(FINE_TONES)), times)
    counts = (len(occupations()), len(TAXONOMIES["gender"]), len(TAXONOMIES["age"]), len(STYLES))
    rows = [(0, index, g, t, a, s) for index, g, a, s in product(*map(range, counts)) for t in tones]
    return np.array(rows, np.int64)


def truth_table(specs: NDArray[np.int64]) -> pd.DataFrame:
    """The true groups of the anchors: columns ``key``, ``attribute``, ``group``."""
    columns = dict(zip(SPEC_COLUMNS, specs.T, strict=True))
    shown = pd.DataFrame({name: np.array(TAXONOMIES[name])[columns[name]] for name in ("gender", "age")})
    shown["tone"] = [TONE_GROUPS[FINE_TONES[tone]] for tone in columns["tone"]]
    shown["key"] = _keys(len(specs))
    return shown.melt(id_vars="key", var_name="attribute", value_name="group")


def label_table(judge: Judge, images: Images, keys: Sequence[str] | None = None) -> pd.DataFrame:
    """The label table of the anchors by one judge; without ``keys``, images are numbered."""
    named = _keys(len(images)) if keys is None else list(keys)
    rows = [
        label_rows(
            keys=named,
            judge=judge.info.name,
            version=judge.info.version,
            family=judge.info.family,
            attribute=attribute,
            groups=TAXONOMIES[attribute],
            probabilities=answer.probabilities,
            status=answer.status,
        )
        for attribute, answer in judge.label(images).items()
    ]
    return pd.concat(rows, ignore_index=True)


def panel_labels(images: Images, keys: Sequence[str] | None = None) -> pd.DataFrame:
    """The label table of the anchors by all judges of the mini suites, and the panel's vote."""
    suite = load_suite("mini")
    panel = [label_table(load_judge(name), images, keys) for name in suite.panel]
    non_voting_judges = [label_table(load_judge(name), images, keys) for name in suite.non_voting_judges]
    votes = vote(pd.concat(panel, ignore_index=True), members=suite.panel, taxonomy=TAXONOMIES)
    return pd.concat([*panel, *non_voting_judges, votes], ignore_index=True)


def counted(truth: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """The confusion table of all judges and the panel, for all attributes and joint attributes."""
    sets = chain.from_iterable(combinations(TAXONOMIES, size) for size in range(1, 1 + len(TAXONOMIES)))
    return confusion_table(truth, labels, list(sets))


def calibrate(specs: NDArray[np.int64]) -> pd.DataFrame:
    """The confusion table of all judges and the panel on renders."""
    return counted(truth_table(specs), panel_labels(through_autoencoder(render(specs, seed=SEED))))


def versions() -> str:
    """The judges of the mini suites with their versions."""
    suite = load_suite("mini")
    judges = [load_judge(name).info for name in (*suite.panel, *suite.non_voting_judges)]
    return ", ".join(f"{judge.name} {judge.version}" for judge in judges)


def comment(specs: NDArray[np.int64]) -> str:
    """The first line of the table: its origin and the versions of the judges."""
    return (
        f"# {len(specs)} balanced renders (seed {SEED}) through the VAE of mini, judged by {versions()}; "
        "pairs of truth and label that are not listed did not occur; made by evenhand.bench.mini.calibrate"
    )


def main(path: Path = TABLE) -> None:
    """Write the confusion table of the judges of the mini suites."""
    specs = anchor_specs()
    path.write_text(f"{comment(specs)}\n{calibrate(specs).to_csv(index=False)}", encoding="utf-8")


def _keys(count: int) -> list[str]:
    return [f"anchor-{index:05d}" for index in range(count)]


if __name__ == "__main__":
    main()
