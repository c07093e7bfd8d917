"""The evidence for a row of the leaderboard."""

from __future__ import annotations

from evenhand.bench.results.entry import TOLERATED, Answers, Evidence, Verification
from evenhand.bench.results.text import listing, number, plural

EVIDENCE: dict[Evidence, str] = {
    "verified": "a sample of its images was regenerated from the intervention and agreed",
    "recomputed": "its labels are included, and every check of the board recomputes its numbers from them",
    "reported": "its numbers are those of the submitter, without the labels",
}
"""The kinds of evidence for a row, the strongest first."""

CHANCE = 0.05
"""Probability that a sample misses the share of differing images that it is said to exclude."""


def verification_text(found: Verification) -> str:
    """The result of a verification, and what it excludes."""
    given = sum(row.asked for row in found.answers)
    others = sum(row.other for row in found.answers)
    source = "refitted" if found.fitted else "taken from the submitted run"
    digest = "" if found.same_intervention else " and its digest differs from that of the entry"
    facts = (
        f"{found.same_images} of {plural(found.images, 'regenerated image')} have the same bytes, and "
        f"{given - others} of {plural(given, 'label or score', 'labels and scores')} are the same; the "
        f"intervention was {source} on {found.device}{digest}"
    )
    return f"{facts}. {_meaning(found)}"


def _meaning(found: Verification) -> str:
    if found.contradicted:
        return (
            f"Identical pixels gave different answers: {_named(found.contradicted)}; the labels or scores "
            "of the entry are not those of its images"
        )
    if found.unlike:
        return (
            f"More than one answer in {TOLERATED} differs: {_named(found.unlike)}; verify on the kind of "
            "machine that generated the entry, and if that changes nothing, its images are different ones"
        )
    if found.same_bytes:
        share = number(1 - CHANCE ** (1 / found.images), percent=True)
        return f"With 95% confidence, at most {share} of its images differ"
    return (
        "Images differ only as between two machines: no judge gives a different label to more than one in "
        f"{TOLERATED} images"
    )


def _named(rows: list[Answers]) -> str:
    parts = [f"{max(row.other, row.contradicted)} of {row.asked} of {row.name}" for row in rows[:3]]
    return listing(parts)
