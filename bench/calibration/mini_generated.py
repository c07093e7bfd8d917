"""Measures the judges of the mini suites on generated images with independent labels.

Run ``python -m evenhand.bench.calibration.mini_generated`` after any change of a judge, the model or the
sampler. It draws the images of :data:`LABELS` again (a few minutes on a CPU), labels them with every judge,
and writes :data:`JUDGED` and :data:`TABLE`, the calibration ``mini-generated``.

The images are drawn by the model without interventions for five occupations of which no suite measures a
method: auditor, accountant, editor, mover and chief. A labeller that makes no error on renders labelled them
one by one, without seeing the prompt or the labels of the judges.
"""

from __future__ import annotations

import pandas as pd

from evenhand.bench.mini import ROOT
from evenhand.bench.mini.calibrate import counted, panel_labels, versions
from evenhand.bench.mini.law import TAXONOMIES
from evenhand.bench.models.loading import load_model_of, open_sampler
from evenhand.bench.suites.suite import load_suite
from evenhand.metrics.correction.calibration import UNDETERMINED
from evenhand.metrics.judges.base import Images

LABELS = ROOT / "generated_labels.csv"
"""The images and their independent labels: one row per image, identified by the seed of its noise."""

JUDGED = ROOT / "generated_judged.csv"
"""The labels of every judge and of the panel's vote for the same images, columns ``judge/attribute``."""

TABLE = ROOT / "confusion_generated.csv"
"""The confusion table counted from :data:`LABELS` and :data:`JUDGED`."""


def independent_labels() -> pd.DataFrame:
    """The images and their independent labels.

    Returns:
        Columns ``prompt``, ``kind``, ``concept``, ``cell`` (named by the prompt), ``noise_seed``, ``gender``,
        ``tone``, ``age``; all text.
    """
    return pd.read_csv(LABELS, dtype=str, keep_default_na=False, comment="#")


def draw(images: pd.DataFrame) -> Images:
    """Draw images ``(n, 64, 64, 3)`` from their prompts and seeds, with the protocol of suite ``mini``."""
    suite = load_suite("mini")
    model = load_model_of(suite, device="cpu")
    return open_sampler(model, suite.protocol)(
        images["prompt"].tolist(), images["noise_seed"].map(int).tolist()
    )


def truth_table(images: pd.DataFrame) -> pd.DataFrame:
    """The independent labels as anchors: columns ``key``, ``attribute``, ``group``."""
    keyed = images.rename(columns={"noise_seed": "key"})
    return keyed.melt(id_vars="key", value_vars=list(TAXONOMIES), var_name="attribute", value_name="group")


def wide(labels: pd.DataFrame) -> pd.DataFrame:
    """One row per image with the columns ``judge/attribute`` from a label table."""
    said = labels["label"].where(labels["status"] == "ok", UNDETERMINED)
    named = labels.assign(label=said, column=labels["judge"] + "/" + labels["attribute"])
    return named.pivot(index="key", columns="column", values="label").rename_axis(columns=None)


def long(judged: pd.DataFrame) -> pd.DataFrame:
    """The label table of :func:`wide`: columns ``key``, ``judge``, ``attribute``, ``label``, ``status``.

    The reason why a judge did not decide is not kept; its status is ``low_confidence``.
    """
    table = judged.reset_index().melt(id_vars="key", var_name="column", value_name="label")
    table[["judge", "attribute"]] = table["column"].str.split("/", expand=True).to_numpy()
    decided = table["label"] != UNDETERMINED
    return table.assign(status=decided.map({True: "ok", False: "low_confidence"}))


def judge_labels() -> pd.DataFrame:
    """The stored labels of every judge and of the panel's vote; see :func:`long`."""
    return long(pd.read_csv(JUDGED, dtype=str, keep_default_na=False, comment="#", index_col="key"))


def main() -> None:
    """Draw and label the images, and write the labels of the judges and the confusion table."""
    images = independent_labels()
    judged = wide(panel_labels(draw(images), images["noise_seed"].tolist())).loc[images["noise_seed"]]
    origin = f"{len(images)} generated images of {LABELS.name}, judged by {versions()}"
    maker = "made by evenhand.bench.calibration.mini_generated"
    JUDGED.write_text(f"# {origin}; {maker}\n{judged.to_csv()}", encoding="utf-8")
    table = counted(truth_table(images), long(judged))
    unlisted = "pairs of truth and label that are not listed did not occur"
    TABLE.write_text(f"# {origin}; {unlisted}; {maker}\n{table.to_csv(index=False)}", encoding="utf-8")


if __name__ == "__main__":
    main()
