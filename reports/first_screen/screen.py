"""The first screen as one object for the template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evenhand.bench.results.lookup import Key, Reading, base_of
from evenhand.bench.results.result import Run
from evenhand.reports.first_screen.lines import MethodLine, asked
from evenhand.reports.first_screen.plot import Plot, distance_plot
from evenhand.reports.first_screen.strip import Strip, first_strip

PERCEIVED = "“Perceived” is what a classifier takes an image to show; nobody’s identity is measured."

AGAINST_BASELINE = (
    "✓ proven, ? not proven with this many images, ✗ the opposite is proven. Small: the change against the "
    "baseline that decides, with its 95% interval (gates: one-sided)."
)

ALONE = (
    "✓ proven, ? not proven with this many images, ✗ the opposite is proven. Small: the number that decides, "
    "with its 95% interval."
)

MATCHING_PAIRS = "Matching pairs: two images of a concept show the same group."

MANY = 7
"""From this many lines on, the marks scroll in a frame on a wide screen, so that all else stays in view."""


@dataclass(frozen=True)
class FirstScreen:
    """What a reader sees first.

    Attributes:
        headline: The verdict.
        perceived: What "perceived" means.
        questions: Headings of the marks.
        reading: How to read the marks.
        lines: The methods with their marks.
        plot: The chart; ``None`` without a primary number.
        strip: The images; ``None`` without images.
        many: Whether there are so many methods that the marks need their own frame.
    """

    headline: str
    perceived: str
    questions: tuple[str, ...]
    reading: str
    lines: Sequence[MethodLine]
    plot: Plot | None
    strip: Strip | None
    many: bool


def is_compared(readings: Sequence[Reading]) -> bool:
    """Whether there are methods and a baseline that they are compared with."""
    return base_of(readings) is not None and len(readings) > 1


def first_screen(
    run: Run, readings: Sequence[Reading], key: Key | None, *, headline: str, lines: Sequence[MethodLine]
) -> FirstScreen:
    """The first screen of a run or audit.

    Args:
        run: The run.
        readings: The methods, the baseline first.
        key: The primary number.
        headline: The verdict.
        lines: The line of every method.

    Raises:
        EvenhandError: An image that the run names cannot be read.
    """
    many, compared = len(lines) >= MANY, is_compared(readings)
    return FirstScreen(
        headline=headline,
        perceived=PERCEIVED,
        questions=asked(compared=compared),
        reading=_reading(lines) if compared else ALONE,
        lines=lines,
        plot=distance_plot(readings, key) if key else None,
        strip=first_strip(run, readings, many=many),
        many=many,
    )


def _reading(lines: Sequence[MethodLine]) -> str:
    """How to read the marks of methods, with the unit of evenness where it needs an explanation."""
    paired = any(mark.what == "matching pairs" for line in lines for mark in line.marks)
    return f"{AGAINST_BASELINE} {MATCHING_PAIRS}" if paired else AGAINST_BASELINE
