"""An entry of the board: what is published of a result, what a verification found, and the row they give."""

from __future__ import annotations

import json
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from evenhand.bench.results.result import JudgeCard, Real, Record, Result, Timing
from evenhand.bench.results.text import slug

ENTRY_FILE = "entry.json"
"""The file that every entry has: the result, and the hashes of its tables."""

EntryFile = Literal["images.parquet", "labels.parquet"]
"""The tables that an entry may have beside ``entry.json``, to recompute its estimates from."""

Evidence = Literal["verified", "recomputed", "reported"]
"""What stands behind an entry's numbers, the strongest first."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

Count = Annotated[int, Field(ge=0)]

SAMPLE = 60
"""Images made again: of an entry with one false image in twenty, 95 of 100 such samples hold one."""

TOLERATED = 30
"""Where images differ in their last bits, a judge may give one in so many another label."""


class Entry(Record):
    """A published row of the board: ``entry.json`` of a folder in ``reports/entries``."""

    result: Result
    timing: Timing | None = None
    files: dict[EntryFile, Sha256] = Field(
        default_factory=dict, description="the entry's tables; none where its numbers are only reported"
    )

    def to_json(self) -> str:
        """Stable JSON without white space: the same entry gives the same bytes."""
        data = self.model_dump(mode="json")
        return json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n"


class Answers(Record):
    """What one judge says of one attribute, or one score says, of the images made again."""

    name: str
    asked: int = Field(gt=0, description="images that it answers about")
    other: Count = Field(description="with another label beyond a tie, or a score that is not near")
    contradicted: Count = Field(description="with another answer though the image has the same pixels")
    furthest: Real = Field(description="largest difference of a probability or score")

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if max(self.other, self.contradicted) > self.asked:
            raise ValueError(f"{self.name!r:.80} has more answers that differ than were asked for")
        return self


class Verification(Record):
    """What came out when a sample of an entry's images was made again: ``verification.json``."""

    entry: Sha256 = Field(description="SHA-256 of the entry.json that was verified")
    evenhand: str
    device: str
    fitted: bool = Field(description="whether the intervention was fitted anew, not handed over")
    same_intervention: bool = Field(description="whether it has the digest that the entry states")
    seed: Count = Field(description="seed of the sample")
    images: int = Field(gt=0, description="images made again")
    same_images: Count = Field(description="of these, with the same pixels to the last bit")
    answers: list[Answers] = Field(max_length=1000)

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.same_images > self.images or any(row.asked > self.images for row in self.answers):
            raise ValueError("more of the sample agrees, or is answered about, than was made again")
        return self

    @property
    def same_bytes(self) -> bool:
        """Whether every image came out with the same bytes."""
        return self.same_images == self.images

    @property
    def contradicted(self) -> list[Answers]:
        """The answers that the very same image contradicts."""
        return [row for row in self.answers if row.contradicted]

    @property
    def unlike(self) -> list[Answers]:
        """The answers that differ more often than last bits explain."""
        return [row for row in self.answers if row.other * TOLERATED > row.asked]

    @property
    def agrees(self) -> bool:
        """Whether the sample bears the entry out: no answer is contradicted, and few are unlike."""
        return bool(self.answers) and not self.contradicted and not self.unlike


class BoardRow(Record):
    """One row of the public board, made from an entry by ``evenhand.bench.leaderboard.build``."""

    result: Result
    timing: Timing | None
    evidence: Evidence = "reported"
    verification: Verification | None = Field(default=None, description="of an entry that was verified")
    rank_low: int | None = Field(default=None, description="ends of the rank set; none where not ranked")
    rank_high: int | None = None
    tie_group: str = ""
    failed_gates: list[str] = Field(description="reasons why the row is listed below the line")


def entry_name(result: Result) -> str:
    """Folder name of a result's entry: ``<method label>@<suite>-v<version>`` in plain letters."""
    spec = result.spec
    return f"{slug(spec.method.label)}@{slug(spec.suite)}-v{slug(spec.suite_version)}"


def version_key(result: Result) -> str:
    """What two results must share to stand in one ranking: suite, model, prompts, settings, panel."""
    spec = result.spec
    own = spec.model_dump(mode="json", exclude={"method", "judges"})
    voters = [(judge.name, judge.version) for judge in panel(result)]
    return json.dumps([own, voters], sort_keys=True)


def panel(result: Result) -> list[JudgeCard]:
    """The judges that vote, by name."""
    voters = [judge for judge in result.spec.judges if judge.role == "panel"]
    return sorted(voters, key=lambda judge: (judge.name, judge.version))
