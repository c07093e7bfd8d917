"""Whether the correction of a result's numbers for judge error is verified: a pure function of the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from evenhand.bench.results.result import CorrectionCheck, EstimateRow, Result, TransportRow
from evenhand.bench.results.text import PANEL

VERIFIED_IMAGES = 300
"""Images that people must have labelled on each side, the baseline's and the method's.

A judge that errs on a twentieth of such images is known to 2.5 points (half the 95 % interval), about as
precisely as the shares themselves, and a tenth of the images still shows a group 30 times.
"""

SIGNIFICANT = 0.05
"""Adjusted p-value below which a test contradicts the correction."""

UNVERIFIED = "correction not verified"
ADVICE = "`evenhand annotate plan` lists the images to label"

Status = Literal["verified", "not verified", "none"]


class CorrectionStatus(NamedTuple):
    """Whether corrected numbers are verified.

    Attributes:
        status: ``none`` where no number is corrected.
        sentence: The status and its reason, as a clause without a full stop.
    """

    status: Status
    sentence: str


def correction_status(result: Result) -> CorrectionStatus:
    """The status of a result's corrected numbers.

    They are verified if people labelled at least 300 images of the baseline and of the method, and no test on
    these images contradicts the correction.
    """
    return status_of(result.estimates, result.correction_check)


def status_of(estimates: Sequence[EstimateRow], check: CorrectionCheck | None) -> CorrectionStatus:
    """The status of the numbers of one method; see :func:`correction_status`."""
    if not any(row.corrected and row.judge == PANEL for row in estimates):
        return CorrectionStatus("none", "judge errors are not corrected")
    if check is None:
        return CorrectionStatus("not verified", f"{UNVERIFIED}: no image has labels of people; {ADVICE}")
    if failed := contradictions(check):
        return CorrectionStatus("not verified", f"{UNVERIFIED}: labels of people contradict it ({failed})")
    if min(check.labelled.values()) < VERIFIED_IMAGES:
        return CorrectionStatus("not verified", _too_few(check.labelled))
    return CorrectionStatus(
        "verified", f"correction verified with labels of people ({_counts(check.labelled)})"
    )


def _too_few(labelled: Mapping[str, int]) -> str:
    return (
        f"{UNVERIFIED}: too few images have labels of people ({_counts(labelled)}), "
        f"{VERIFIED_IMAGES} of each are needed; {ADVICE}"
    )


def _counts(labelled: Mapping[str, int]) -> str:
    return ", ".join(f"{n} of {label}" for label, n in labelled.items())


def contradictions(check: CorrectionCheck) -> str:
    """The significant tests of a check, one clause each, separated by semicolons; empty if there is none."""
    return "; ".join(_clause(row) for row in check.tests if row.p < SIGNIFICANT)


def correction_notes(
    estimates: Mapping[str, Sequence[EstimateRow]], checks: Mapping[str, CorrectionCheck]
) -> list[str]:
    """Notes on the corrections of a run that are not verified.

    One for each method that labels contradict, and one for all methods with too few labels.
    """
    found = {label: status_of(rows, checks.get(label)) for label, rows in estimates.items()}
    open_ = [label for label, known in found.items() if known.status == "not verified"]
    failed = [label for label in open_ if label in checks and contradictions(checks[label])]
    notes = [f"{label}: {found[label].sentence}" for label in failed]
    lacking = [label for label in open_ if label not in failed]
    if not lacking:
        return notes
    labelled = {side: n for label in lacking if label in checks for side, n in checks[label].labelled.items()}
    if not labelled:
        return [*notes, found[lacking[0]].sentence]
    return [*notes, _too_few(labelled)]


def _clause(row: TransportRow) -> str:
    rates = ", ".join(f"{name} {rate:.0%}" for name, rate in row.rates.items() if rate == rate)
    if row.test == "shares":
        return f"share of {row.group} on {row.kind} prompts: {rates}"
    return f"share of {row.group} labelled right: {rates}"
