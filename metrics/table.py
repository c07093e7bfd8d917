"""What all metrics share: kinds of prompts, statuses, the columns of the tables, and the label rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute
from numpy.typing import NDArray

PERSON_KINDS = ("neutral", "person", "explicit", "over_correction")
"""Kinds of prompts whose images show a person and are labelled by every judge."""

IMAGE_COLUMNS = (
    "key",
    "method",
    "prompt_id",
    "prompt",
    "concept",
    "template",
    "kind",
    "cell",
    "seed_index",
    "status",
    "alignment",
)
"""Columns of the image table, one row per method, prompt and seed; unchanged images share a ``key``.

``cell`` names the groups that the prompt asks for, ``"gender=woman;tone=dark"``, or is empty; ``status`` is
``"ok"`` or why there is no image; ``alignment`` is 100 times the cosine of image and prompt.
"""

STATUSES = (
    "ok",
    "no_person",
    "no_face",
    "multi_person",
    "small_face",
    "low_confidence",
    "inconsistent",
    "refused",
    "error",
)
"""Every status but ``ok`` is "undetermined": counted, never dropped."""

LABEL_COLUMNS = (
    "key",
    "judge",
    "judge_version",
    "family",
    "attribute",
    "label",
    "confidence",
    "status",
    "probabilities",
)
"""Columns of the label table, one row per image, judge and attribute.

``label`` is empty unless ``status`` is ``ok``. ``probabilities`` lists the groups of the suite's taxonomy in
order and "cannot tell" last. A label is about the largest person of an image, so there is no person index.
"""

ANSWER_COLUMNS = ("key", "judge", "judge_version", "attribute", "label", "status")
"""Columns of the label table that are needed once the panel's vote is known."""

DECISION_THRESHOLD = 0.5
"""Minimum probability of a judge's label."""

TIE = 1e-9
"""Probabilities with a smaller difference are equal, because averages are subject to rounding."""


def decide(probabilities: NDArray[np.float64], *, threshold: float = DECISION_THRESHOLD) -> NDArray[np.int64]:
    """Index of the label of each row of ``(n, K + 1)`` probabilities; ``K`` where there is none.

    The label is the most probable group if its probability is at least ``threshold`` and exceeds that of
    every other column, including the last one ("cannot tell"). A tie is undetermined. (The released
    evaluation of UCE counts a tie for both groups.)
    """
    undetermined = probabilities.shape[1] - 1
    second, best = np.sort(probabilities, axis=1)[:, -2:].T
    decided = (best - second > TIE) & (best >= threshold - TIE)
    return np.asarray(np.where(decided, probabilities.argmax(axis=1), undetermined))


def matrix_of(cells: pd.Series[Any]) -> NDArray[np.floating]:
    """A column of ``n`` lists of length ``d`` as an array ``(n, d)``."""
    if isinstance(cells.dtype, pd.ArrowDtype):
        # The accessor's flatten would also build a new index for all values.
        values = pyarrow.compute.list_flatten(pyarrow.array(cells.array))
        return np.asarray(values).reshape(len(cells), -1)
    return np.array(cells.tolist())


def hard_labels(
    probabilities: NDArray[np.float64],
    groups: Sequence[str],
    *,
    status: Sequence[str] | None = None,
    threshold: float = DECISION_THRESHOLD,
) -> tuple[list[str], list[str]]:
    """Labels and statuses from a judge's probabilities; every judge uses this rule.

    Args:
        probabilities: ``(n, K + 1)``, the last column "cannot tell".
        groups: The ``K`` groups in the order of the columns.
        status: Status of each image from the judge; ``"ok"`` for all if ``None``.
        threshold: Minimum probability of a label.

    Returns:
        ``n`` labels, empty unless the status is ``ok``, and ``n`` statuses: the judge's own, or
        ``low_confidence`` where no group is decided.
    """
    said = ["ok"] * len(probabilities) if status is None else list(status)
    found = np.array([*groups, ""], dtype=object)[decide(probabilities, threshold=threshold)]
    labels = [str(label) if state == "ok" else "" for label, state in zip(found, said, strict=True)]
    weak = [state == "ok" and not label for label, state in zip(labels, said, strict=True)]
    return labels, ["low_confidence" if low else state for low, state in zip(weak, said, strict=True)]


def label_rows(
    *,
    keys: Sequence[str],
    judge: str,
    version: str,
    family: str,
    attribute: str,
    groups: Sequence[str],
    probabilities: NDArray[np.float64],
    status: Sequence[str],
    threshold: float = DECISION_THRESHOLD,
) -> pd.DataFrame:
    """A judge's answer on one attribute as rows of the label table.

    Images with non-finite probabilities get the status ``error`` and are undetermined.

    Args:
        keys: ``n`` images.
        judge: Name of the judge.
        version: Version of the judge.
        family: Family of the judge.
        attribute: The attribute.
        groups: The attribute's groups in the order of the columns.
        probabilities: ``(n, K + 1)``, the last column "cannot tell".
        status: ``n`` statuses from the judge.
        threshold: See :func:`decide`.
    """
    finite = np.all(np.isfinite(probabilities), axis=1)
    probabilities = np.where(finite[:, None], probabilities, np.eye(len(groups) + 1)[-1])
    status = [state if ok else "error" for state, ok in zip(status, finite, strict=True)]
    labels, statuses = hard_labels(probabilities, groups, status=status, threshold=threshold)
    table = pd.DataFrame({"key": list(keys), "label": labels, "status": statuses})
    table["confidence"] = probabilities[:, :-1].max(axis=1)
    table["probabilities"] = probabilities.tolist()
    cells = {"judge": judge, "judge_version": version, "family": family, "attribute": attribute}
    return table.assign(**cells)[list(LABEL_COLUMNS)]
