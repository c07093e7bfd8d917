"""The evidence for a row of the leaderboard."""

from __future__ import annotations

from evenhand.bench.results.entry import TOLERATED, Answers, Band, BoardRow, Evidence, Verification
from evenhand.bench.results.fresh import Agreement, FamilyGap, Fresh
from evenhand.bench.results.text import attribute, interval, listing, number, plural, sentence
from evenhand.reports.components.wording import BAND_TITLES

EVIDENCE: dict[Evidence, str] = {
    "verified on fresh noise": "a maintainer drew the method and the baseline on noise and prompts that the "
    "submitter could not know, and these are the numbers shown",
    "recomputed": "its labels are included, and every check of the board recomputes its numbers from them; "
    "the submitter drew the images",
    "reported": "its numbers are those of the submitter, without the labels; they are not ranked",
}
"""The kinds of evidence for a row, the strongest first. Each is ranked by itself."""

CHANCE = 0.05
"""Probability that a sample misses the share of differing images that it is said to exclude."""


def band_title(band: Band, evidence: Evidence | None) -> str:
    """The title of a band, with its evidence where a track has ranked rows of several kinds."""
    return f"{BAND_TITLES[band]}, {evidence}" if evidence else BAND_TITLES[band]


def evidence_texts(row: BoardRow) -> list[str]:
    """The evidence for a row in sentences, with the outcomes of its verifications."""
    found = [f"{sentence(row.evidence)}: {EVIDENCE[row.evidence]}."]
    if row.fresh:
        found += [f"{text}." for text in fresh_texts(row.fresh)]
    if row.verification:
        found.append(f"On its own noise, {verification_text(row.verification)}.")
    return found


def fresh_texts(found: Fresh) -> list[str]:
    """The outcome on fresh noise in clauses: how it was drawn, whether it agrees, and what the judges see."""
    source = "fitted again" if found.fitted else "not fitted again: its submitted intervention was used"
    size = (
        f"{plural(found.images, 'image')} of {found.planned:,}, too few to be published instead of the "
        "submitted numbers"
        if not found.complete
        else f"all {plural(found.images, 'image')}"
    )
    drawn = (
        f"On fresh noise, with {size}, on {found.device}; the method was {source}; anybody can repeat "
        f"this with the salt {found.salt}"
    )
    judges = [_gap_text(gap) for gap in found.suspicious]
    held = [f"Held-back judges: {listing(found.holdout)}"] if found.holdout else []
    return [drawn, _agreement_text(found.agreement), *judges, *held]


def _agreement_text(found: Agreement) -> str:
    """Whether the submitted number and that on fresh noise agree."""
    if not found.agrees and not found.flattered and not found.high < 0:
        return "There are too few images or concepts to compare the submitted number with fresh noise"
    over = f"{plural(found.concepts, 'concept')} ({attribute(found.attributes)})"
    numbers = (
        f"The mean squared distance over {over} is {number(found.fresh)} on fresh noise and "
        f"{number(found.submitted)} as submitted: difference {number(found.difference)} "
        f"({interval(found.low, found.high)} at the 99% level)"
    )
    if found.flattered:
        return f"{numbers}; the submission looks better than chance explains"
    return f"{numbers}; they agree" if found.agrees else f"{numbers}; the submission looks worse"


def _gap_text(gap: FamilyGap) -> str:
    declared = "declared" if gap.declared else "not declared"
    kept, others, low = (number(value, percent=True) for value in (gap.kept, gap.others, gap.low))
    return (
        f"{sentence(gap.family)} judges ({', '.join(gap.judges)}) vote and see {kept} of the baseline's "
        f"deviation in {attribute(gap.attribute)} left, all other families at least {others} (the gap is at "
        f"least {low}); steering by them is {declared}, and the method may satisfy the judge and not the eye"
    )


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
