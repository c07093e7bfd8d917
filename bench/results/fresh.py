"""The outcome of drawing an entry's method on fresh noise: ``fresh.json`` beside the entry."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from evenhand.bench.results.result import Real, Record, Result

FreshFile = Literal[
    "fresh-images.parquet",
    "fresh-labels.parquet",
    "fresh-base-images.parquet",
    "fresh-base-labels.parquet",
]
"""The tables of a verification on fresh noise, from which its numbers can be recomputed."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

CONFIDENCE = 0.99
"""Level of the interval that tests agreement: dozens of rows are tested, and few may be accused wrongly."""

JUDGE_MARGIN = 0.1
"""A judge family may see this much more of the improvement than every other family."""


class Agreement(Record):
    """The primary number of a submission against that on fresh noise, compared concept by concept.

    The noise is not paired, the concepts are. The number is the squared distance, whose mean over the
    concepts orders methods as RMSDelta does and which small samples do not inflate.
    """

    attributes: str
    submitted: Real = Field(description="mean squared distance over the concepts, as submitted")
    fresh: Real = Field(description="the same on fresh noise")
    difference: Real = Field(description="fresh minus submitted; positive if the submission looks better")
    low: Real = Field(description="lower end of the 99% interval of the difference, by Student's t")
    high: Real
    concepts: int = Field(ge=0, description="concepts with a number on both sides")

    @property
    def flattered(self) -> bool:
        """Whether the submission is better than fresh noise by more than chance explains."""
        return self.low > 0

    @property
    def agrees(self) -> bool:
        """Whether the interval contains zero; false if it could not be computed."""
        return self.low <= 0 <= self.high


class FamilyGap(Record):
    """How much more of a method's improvement one judge family sees than every other family does."""

    family: str
    judges: list[str]
    attribute: str
    declared: bool = Field(description="whether the steering judge of the method is in the family")
    held_back: bool = Field(description="whether the family was added by the maintainers for this test")
    votes: bool = Field(description="whether a judge of the family votes")
    kept: Real = Field(description="share of the baseline's squared deviation that is left, by this family")
    others: Real = Field(description="the same by the family that is closest to it")
    gap: Real = Field(description="others minus kept; positive if this family sees more improvement")
    low: Real = Field(description="lower end of the one-sided interval of the gap")

    @property
    def suspicious(self) -> bool:
        """Whether a voting family sees an improvement that no other family does."""
        return self.votes and self.low > JUDGE_MARGIN


class Fresh(Record):
    """Outcome of drawing method and baseline on noise and prompts that the submitter could not know."""

    submission: Sha256 = Field(description="identity of the entry, see entry.submission_digest")
    evenhand: str
    device: str
    fitted: bool = Field(
        description="whether the method was fitted again, not its submitted intervention used"
    )
    same_intervention: bool = Field(description="whether the intervention is that of the entry, bit for bit")
    salt: Sha256 = Field(description="the salt, revealed")
    images: int = Field(gt=0, description="images drawn of the method")
    planned: int = Field(gt=0, description="images that the suite plans")
    holdout: list[str] = Field(default_factory=list, max_length=20, description="held-back judges")
    files: dict[FreshFile, Sha256]
    result: Result = Field(description="the result on fresh noise")
    base: Result = Field(description="that of the baseline on the same noise")
    agreement: Agreement
    gaps: list[FamilyGap] = Field(max_length=1000)

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.images > self.planned:
            raise ValueError("images must be at most planned, the number of images that the suite plans")
        if not {"fresh-base-images.parquet", "fresh-base-labels.parquet"} <= self.files.keys():
            raise ValueError("files must have the tables of the baseline")
        return self

    @property
    def commitment(self) -> str:
        """The SHA-256 of the salt, published before it was used."""
        return commitment_of(self.salt)

    @property
    def complete(self) -> bool:
        """Whether it has as many images as the suite asks for, so that its numbers are published."""
        return self.images == self.planned

    @property
    def suspicious(self) -> list[FamilyGap]:
        """The voting judge families that see an improvement which no other family sees."""
        return [gap for gap in self.gaps if gap.suspicious]


def commitment_of(salt: str) -> str:
    """The commitment to a salt: the SHA-256 of its text."""
    return hashlib.sha256(salt.encode()).hexdigest()
