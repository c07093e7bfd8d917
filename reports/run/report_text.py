"""The texts that differ between the report of a run and that of an audit of external images.

An audit has no methods, seeds or costs, so its report must not mention them.
"""

from __future__ import annotations

from dataclasses import dataclass

from evenhand.bench.results.result import Spec
from evenhand.bench.results.text import plural


@dataclass(frozen=True)
class ReportText:
    """The texts of one kind of report.

    Attributes:
        subject: The noun for what a result describes.
        subjects: Its plural.
        subject_count: The text after the number of subjects on the first screen.
        planned: Heading of the number of images planned.
        made: Heading of the number of images available.
        compared: Heading of the table of all measures.
        reading: How to read that table, besides its notes.
        strips: How to read the images.
        shared: What paired differences hold constant.
        paired: Title of the table of paired differences.
        look: Title of the images of the first screen.
        changes: What is marked on them besides disobeyed prompts; empty if nothing is.
    """

    subject: str
    subjects: str
    subject_count: str
    planned: str
    made: str
    compared: str
    reading: str
    strips: str
    shared: str
    paired: str
    look: str
    changes: str

    def slot(self, prompt: int | None, seed_index: int) -> str:
        """Heading of a column of images: its prompt, if there are several, and its seed or position."""
        place = f"seed {seed_index}" if self is RUN else f"image {seed_index + 1}"
        return place if prompt is None else f"prompt {prompt}, {place}"

    def number(self, value: int) -> str:
        """A count with its noun, as in ``"3 methods"``."""
        return plural(value, self.subject, self.subjects)


RUN = ReportText(
    subject="method",
    subjects="methods",
    subject_count="methods, including the baseline",
    planned="planned",
    made="generated",
    compared="Methods compared",
    reading="A method that does not pass every gate is never named the best, however even its images are.",
    strips=(
        "One row per method, one column per seed: all images of a column start from the same noise. The "
        "prompts are spread evenly over the suite’s list and were not chosen by the content of the images."
    ),
    shared="same prompts and seeds",
    paired="Paired differences on common prompts and seeds",
    look="The same prompt and noise, before and after",
    changes="Frame and bold: a group changed against the baseline.",
)

EXTERNAL = ReportText(
    subject="model",
    subjects="models",
    subject_count="models",
    planned="listed",
    made="read",
    compared="Measures",
    reading="The model and prompt of each image are those given in the image list.",
    strips=(
        "One row per model, one column per image of a prompt, in the order of the list. "
        "The prompts are spread evenly over the list and were not chosen by the content of the images."
    ),
    shared="same prompts",
    paired="Differences on common prompts",
    look="The same prompt, one row per model",
    changes="",
)

EXTERNAL_LIMIT = (
    "The images are external. The author of the image list states that each came from the model and prompt "
    "listed for it and that none was left out because of its content; Evenhand cannot check this."
)


def report_text_of(spec: Spec) -> ReportText:
    """The texts for the kind of report that the result needs."""
    return EXTERNAL if spec.external else RUN
