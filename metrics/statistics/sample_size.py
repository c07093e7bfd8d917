"""Number of images that a claim needs: half widths, differences of methods, rare cells, imperfect judges.

Every number of images is per occupation and counts *decided* images; add the undetermined rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm, ttest_1samp

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.representation import FloatArray
from evenhand.metrics.statistics.uncertainty import ALPHA

SEEN = 0.95
"""Default probability of seeing a rare cell at least once."""

POWER = 0.8
"""Default power: the probability of detecting a difference."""

Z = float(norm.ppf(1 - ALPHA / 2))

SMALLEST = 1e-6
"""Goals must be larger: numbers of images for far smaller ones overflow."""


def half_width(n: float, *, share: float = 0.5) -> float:
    """Half width of the 95 % Wilson interval of an observed share, 0 to 0.5; widest at 0.5."""
    return Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)


def images_for_half_width(wanted: float, *, share: float = 0.5) -> int:
    """Number of images for which the Wilson interval of a share has at most the half width ``wanted``.

    Args:
        wanted: Half width, above :data:`SMALLEST` and below 0.5.
        share: Expected share; 0.5 is the worst case.

    Raises:
        EvenhandError: An argument is out of range.
    """
    _between("half width", wanted, SMALLEST, 0.5)
    _between("share", share, 0, 1)
    # Far from 0.5 the interval of a single image is narrower than that of several: start at the widest.
    start = max((half_width(n, share=share), n) for n in range(1, 9))
    if start[0] <= wanted:
        return 1
    return _up(brentq(lambda n: half_width(n, share=share) - wanted, start[1], 10 / wanted**2))


def images_for_cell(share: float, *, probability: float = SEEN) -> int:
    """Number of images that show a cell of this share at least once with the given probability.

    ``n >= ln(1 - probability) / ln(1 - share)``.

    Raises:
        EvenhandError: An argument is out of range.
    """
    _between("share of the cell", share, SMALLEST, 1)
    _between("probability", probability, 0, 1)
    return _up(math.log(1 - probability) / math.log(1 - share))


def detectable_difference(n: float, *, concepts: int, power: float = POWER) -> float:
    """Upper bound on the smallest difference of two methods' mean Delta that is detected with this power.

    ``(z_0.975 + z_power) sqrt(2 / (O n))``, which is 2.8 standard errors at 80 % power. The standard error of
    a mean Delta is at most ``1 / sqrt(O n)``; correlated images of shared seeds reduce it.
    """
    return (Z + float(norm.ppf(power))) * math.sqrt(2 / (concepts * n))


def images_for_difference(difference: float, *, concepts: int, power: float = POWER) -> int:
    """Images per occupation that detect this difference of mean Delta; see :func:`detectable_difference`.

    Raises:
        EvenhandError: An argument is out of range.
    """
    _between("difference", difference, SMALLEST, 1)
    _between("power", power, ALPHA, 1)
    return _up((detectable_difference(1, concepts=concepts, power=power) / difference) ** 2)


def judge_inflation(*, sensitivity: float, specificity: float) -> float:
    """Variance inflation of a judge correction, ``1 / (se + sp - 1)^2``.

    The number of images grows by this factor. It does not include the sampling error of the anchors, which
    more images do not reduce. Source: Rogan and Gladen 1978.

    Raises:
        EvenhandError: An argument is out of range, or the judge is no better than chance.
    """
    for name, value in (("sensitivity", sensitivity), ("specificity", specificity)):
        if not 0 <= value <= 1:
            raise EvenhandError(f"{name} must be between 0 and 1, got {value}")
    slope = sensitivity + specificity - 1
    if slope <= 0:
        raise EvenhandError(
            f"sensitivity {sensitivity} plus specificity {specificity} is at most 1: the judge is no better "
            "than chance; use another judge"
        )
    return 1 / slope**2


def images_of_templates(worth: float, *, templates: int, correlation: float) -> int:
    """Number of images, spread evenly over templates, with the effective size ``worth``.

    Solves ``n / (1 + (n / T - 1) rho) = worth`` for ``n``. ``T`` templates never exceed the effective size
    ``T / rho``, however many seeds are drawn. Source: design effect, Kish 1965.

    Args:
        worth: Independent images needed.
        templates: Number of templates ``T``.
        correlation: Intraclass correlation ``rho`` of the templates, see
            :func:`evenhand.metrics.statistics.intervals.intraclass_correlation`.

    Raises:
        EvenhandError: An argument is out of range, or the templates cannot reach this effective size.
    """
    if templates < 1:
        raise EvenhandError(f"number of templates must be at least 1, got {templates}")
    if not 0 <= correlation < 1:
        raise EvenhandError(f"correlation of templates must be at least 0 and below 1, got {correlation}")
    if worth * correlation >= templates:
        most, needed = templates / correlation, math.floor(worth * correlation) + 1
        raise EvenhandError(
            f"{templates} templates with correlation {correlation:g} are worth at most {most:.0f} "
            f"independent images, but {worth:.0f} are needed; use at least {needed} templates"
        )
    return max(_up(worth * (1 - correlation) / (1 - worth * correlation / templates)), _up(worth))


def simulated_power(
    difference: float,
    *,
    n: int,
    concepts: int,
    rng: np.random.Generator,
    runs: int = 400,
    deltas: Sequence[float] | None = None,
) -> float:
    """Simulated power of a paired t test over occupations, for a method that lowers every Delta.

    Simulates two groups and a judge without errors. Unlike :func:`detectable_difference` it accounts for the
    folding of Delta at 0, which makes the measured difference smaller than the true one.

    Args:
        difference: Reduction of every Delta; a Delta does not fall below 0.
        n: Images per occupation and method.
        concepts: Number of occupations.
        rng: Random stream.
        runs: Simulated benchmarks; the standard error of the power is at most ``0.5 / sqrt(runs)``.
        deltas: Deltas of the baseline from which occupations are drawn; uniform on 0 to 1 if ``None``.
    """
    shape = (runs, concepts)
    base = rng.random(shape) if deltas is None else rng.choice(np.asarray(deltas, float), size=shape)
    leaning = rng.choice([-1.0, 1.0], size=shape)

    def measured(delta: FloatArray) -> FloatArray:
        return np.asarray(np.abs(2 * rng.binomial(n, 0.5 + leaning * delta / 2) / n - 1))

    change = measured(base) - measured(np.maximum(base - difference, 0))
    return float((ttest_1samp(change, 0, axis=1).pvalue < ALPHA).mean())


@dataclass(frozen=True)
class Design:
    """Prompts and judge of a planned study.

    Attributes:
        concepts: Number of occupations.
        templates: Templates per occupation.
        correlation: Intraclass correlation of the templates.
        sensitivity: Share of the images of a group that the judge labels with that group.
        specificity: Share of the other images that it does not label with that group.
        share: Expected share, for half widths.
        power: Power, for differences.
    """

    concepts: int = 36
    templates: int = 5
    correlation: float = 0.0
    sensitivity: float = 1.0
    specificity: float = 1.0
    share: float = 0.5
    power: float = POWER


@dataclass(frozen=True)
class Need:
    """Number of images that one claim needs.

    Attributes:
        claim: ``half width``, ``difference`` or ``cell``.
        wanted: The half width, the difference of mean Delta, or the share of the cell.
        independent: Images per occupation if images were independent and the judge made no errors.
        images: Images per occupation with this judge and these templates.
        total: Images over all occupations.
    """

    claim: str
    wanted: float
    independent: int
    images: int
    total: int


def plan_sizes(
    design: Design,
    *,
    half_widths: Sequence[float] = (),
    differences: Sequence[float] = (),
    cells: Sequence[float] = (),
) -> list[Need]:
    """Number of images that each claim needs.

    A rare cell only has to be drawn, not estimated, so judge and templates do not change its number.

    Args:
        design: Prompts and judge.
        half_widths: Half widths of a share's interval.
        differences: Differences of mean Delta.
        cells: Shares of rare cells.

    Raises:
        EvenhandError: An argument is out of range, or the templates cannot reach an effective size.
    """
    if design.concepts < 1:
        raise EvenhandError(f"number of concepts must be at least 1, got {design.concepts}")
    inflation = judge_inflation(sensitivity=design.sensitivity, specificity=design.specificity)

    def need(claim: str, wanted: float, independent: int) -> Need:
        images = independent
        if claim != "cell":
            images = images_of_templates(
                independent * inflation, templates=design.templates, correlation=design.correlation
            )
        return Need(claim, wanted, independent, images, images * design.concepts)

    of_difference = {
        one: images_for_difference(one, concepts=design.concepts, power=design.power) for one in differences
    }
    return [
        *(need("half width", one, images_for_half_width(one, share=design.share)) for one in half_widths),
        *(need("difference", one, images) for one, images in of_difference.items()),
        *(need("cell", one, images_for_cell(one)) for one in cells),
    ]


def _up(n: float) -> int:
    """The next integer, tolerant of rounding errors."""
    return max(math.ceil(n - 1e-9), 1)


def _between(name: str, value: float, low: float, high: float) -> None:
    if not low < value < high:
        raise EvenhandError(f"{name} must be above {low:g} and below {high:g}, got {value}")
