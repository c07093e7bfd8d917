"""What stands behind a row of the board, in words."""

from __future__ import annotations

from evenhand.bench.results.entry import TOLERATED, Answers, Evidence, Verification
from evenhand.bench.results.text import listing, number, plural

EVIDENCE: dict[Evidence, str] = {
    "verified": "a sample of its images was made again from the intervention and agreed",
    "recomputed": "its labels came with it, and every check of the board recomputes its numbers from them",
    "reported": "its numbers are the submitter’s; no labels came with them",
}
"""What stands behind a row, the strongest first."""

CHANCE = 0.05
"""Chance that a sample misses what it is said to rule out."""


def in_words(found: Verification) -> str:
    """What a verification found, and what that rules out."""
    given = sum(row.asked for row in found.answers)
    others = sum(row.other for row in found.answers)
    source = "fitted anew" if found.fitted else "handed over"
    bits = "" if found.same_intervention else ", with other bits than the entry’s"
    facts = (
        f"{found.same_images} of {plural(found.images, 'image')} made again have the same bytes, and "
        f"{given - others} of {plural(given, 'label')} and scores are the same; the intervention was "
        f"{source}{bits}, on {found.device}"
    )
    return f"{facts}. {_meaning(found)}"


def _meaning(found: Verification) -> str:
    if found.contradicted:
        return (
            f"The same pixels gave other answers than stated: {_named(found.contradicted)}; the labels or "
            "scores of the entry are not those of its images"
        )
    if found.unlike:
        return (
            f"More than one answer in {TOLERATED} is another: {_named(found.unlike)}; verify on the kind of "
            "machine that the entry was made on, and if that changes nothing, its images are others"
        )
    if found.same_bytes:
        share = number(1 - CHANCE ** (1 / found.images), percent=True)
        return f"With 95% certainty at most {share} of its images are others"
    return (
        "Images that differ do so as between two machines: no judge gives more than one in "
        f"{TOLERATED} another label"
    )


def _named(rows: list[Answers]) -> str:
    shown = [f"{max(row.other, row.contradicted)} of {row.asked} of {row.name}" for row in rows[:3]]
    return listing(shown)
