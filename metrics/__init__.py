"""Measurement: from images to labels, from labels to estimates.

- ``representation``, ``fairness``: measures as pure functions of shares, counts and embeddings
- ``base``, ``catalog``: the interface of a metric, and the registered metrics
- ``functional``: metrics as plain functions of counts
- ``label_audit``: your own labels in a data frame, measured
- ``taxonomies``, ``vision``, ``judges``: groups, faces and pixels, classifiers of perceived attributes
- ``judge_quality``: accuracy, agreement and sensitivity of judges
- ``correction``: correction of shares for the judges' errors
- ``statistics``: intervals, tests, ranks, resampling, sample sizes
- ``table``, ``estimation``: the image and label tables, and the estimates of a run
- ``annotation``: sampling, reading and aggregation of human labels
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evenhand.metrics.label_audit.audit import audit_labels
    from evenhand.metrics.label_audit.label_audit import LabelAudit

__all__ = ["LabelAudit", "audit_labels"]


def __getattr__(name: str) -> Any:
    # Imported on first use, so that reading the rows of results imports neither numpy nor pandas.
    if name == "audit_labels":
        from evenhand.metrics.label_audit.audit import audit_labels

        return audit_labels
    if name == "LabelAudit":
        from evenhand.metrics.label_audit.label_audit import LabelAudit

        return LabelAudit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
