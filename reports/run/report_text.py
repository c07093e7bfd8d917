"""The words in which the report of a run and that of an audit of images made elsewhere differ.

An audit knows no method, no seed's noise and no cost, so its report must not speak of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from evenhand.bench.results.result import Spec
from evenhand.bench.results.text import plural


@dataclass(frozen=True)
class ReportText:
    """How a report speaks.

    Attributes:
        subject: What a result is about.
        subjects: Several of them.
        included: Follows their number on the first screen.
        planned: Heading of the images that there should be.
        made: Heading of the images that there are.
        compared: Heading of the table of all measures.
        reading: How to read that table, besides its small print.
        strips: How to read the images.
        shared: What the subjects have in common.
        paired: What paired differences are taken on.
    """

    subject: str
    subjects: str
    included: str
    planned: str
    made: str
    compared: str
    reading: str
    strips: str
    shared: str
    paired: str

    def slot(self, prompt: int | None, seed_index: int) -> str:
        """Heading of a column of images: its prompt, if there are several, and its place within it."""
        place = f"seed {seed_index}" if self is RUN else f"image {seed_index + 1}"
        return place if prompt is None else f"prompt {prompt}, {place}"

    def number(self, value: int) -> str:
        """So many subjects."""
        return plural(value, self.subject, self.subjects)


RUN = ReportText(
    subject="method",
    subjects="methods",
    included="methods, the baseline included",
    planned="planned",
    made="made",
    compared="Methods compared",
    reading="A method that fails a gate is not called the best, however even its images are.",
    strips=(
        "One line per method, one column per seed: in a column every method started from the same noise. "
        "The prompts are spread evenly over the suite’s list and were not chosen by what came out."
    ),
    shared="same prompts and seeds",
    paired="Paired differences on common prompts and seeds",
)

ELSEWHERE = ReportText(
    subject="model",
    subjects="models",
    included="models",
    planned="listed",
    made="read",
    compared="Measures",
    reading="What made the images, and from which prompt, is as the list of the images says.",
    strips=(
        "One line per model, one column per image of a prompt, in the order of the list. "
        "The prompts are spread evenly over the list and were not chosen by what came out."
    ),
    shared="same prompts",
    paired="Differences on common prompts",
)

LIMIT_ELSEWHERE = (
    "The images were made elsewhere. That each came from the model and prompt listed for it, and that none "
    "was left out because of what it shows, is the word of whoever made the list."
)


def report_text_of(spec: Spec) -> ReportText:
    """The words for a result."""
    return ELSEWHERE if spec.external else RUN
