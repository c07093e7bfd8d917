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
"""One row per method, prompt and seed; methods that leave an image untouched share its ``key``.

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
"""One row per image, judge and attribute; ``label`` is empty unless ``status`` is ``ok``.

``probabilities`` lists the suite taxonomy's groups in order and "cannot tell" last. Each of our images
shows one person, so there is no person index yet.
"""

ANSWER_COLUMNS = ("key", "judge", "judge_version", "attribute", "label", "status")
"""The columns of the label table that are still read when the panel has voted."""

DECISION_THRESHOLD = 0.5
"""Probability from which a group is a judge's label."""

TIE = 1e-9
"""Probabilities that differ by less are equal: averages of equal numbers may differ in the last digit."""


def decide(probabilities: NDArray[np.float64], *, threshold: float = DECISION_THRESHOLD) -> NDArray[np.int64]:
    """Index of the label of each row of ``(n, K + 1)`` probabilities; ``K`` where there is none.

    A label is the single most probable column, reaching ``threshold`` and not the last one ("cannot tell"). A
    tie is undetermined (UCE's released evaluation counts it for both groups).
    """
    undetermined = probabilities.shape[1] - 1
    second, best = np.sort(probabilities, axis=1)[:, -2:].T
    decided = (best - second > TIE) & (best >= threshold - TIE)
    return np.asarray(np.where(decided, probabilities.argmax(axis=1), undetermined))


def matrix_of(cells: pd.Series[Any]) -> NDArray[np.floating]:
    """The ``n`` lists of a column, all of length ``d``, as ``(n, d)``."""
    if isinstance(cells.dtype, pd.ArrowDtype):
        # Not the accessor's flatten, which numbers all values anew.
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
    """Labels and statuses of a judge's answer: the one place of the label rule.

    Args:
        probabilities: ``(n, K + 1)``, the last column "cannot tell".
        groups: The ``K`` groups in the order of the columns.
        status: What the judge said of each image; without it every image could be judged.
        threshold: Probability from which a group is a label.

    Returns:
        ``n`` labels, empty unless the status is ``ok``, and ``n`` statuses: the judge's own, or
        ``low_confidence`` where no group stands out.
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

    An image for which the judge gives numbers that are not finite has not been judged: its status is
    ``error``, and it "cannot tell".

    Args:
        keys: ``n`` images.
        judge: Name of the judge.
        version: Its version.
        family: Its family.
        attribute: The attribute.
        groups: The attribute's groups in the order of the columns.
        probabilities: ``(n, K + 1)``, the last column "cannot tell".
        status: ``n`` statuses as the judge gave them.
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
