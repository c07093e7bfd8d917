"""How many images a claim needs: half widths, differences between methods, rare cells, judges that err.

Every number of images is per occupation and of *decided* images: add the undetermined rate on top.
Source: measurement.md 2.7.
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
"""Probability with which a rare cell is to be seen."""

POWER = 0.8
"""Probability with which a difference is to be found."""

Z = float(norm.ppf(1 - ALPHA / 2))


def half_width(n: float, *, share: float = 0.5) -> float:
    """Half width of the 95 % Wilson interval of an observed share, 0 to 0.5; widest at 0.5."""
    return Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)


def images_for_half_width(wanted: float, *, share: float = 0.5) -> int:
    """Images from which the Wilson interval of a share is at most ``wanted`` to either side.

    Args:
        wanted: Half width, above 0 and below 0.5.
        share: The share expected; 0.5 is the worst case.

    Raises:
        EvenhandError: A number out of its range.
    """
    _between("half width", wanted, 0, 0.5)
    _between("share", share, 0, 1)
    # Far from 0.5 a single image's interval is narrower than that of several: search from the widest on.
    start = max((half_width(n, share=share), n) for n in range(1, 9))
    if start[0] <= wanted:
        return 1
    return _up(brentq(lambda n: half_width(n, share=share) - wanted, start[1], 10 / wanted**2))


def images_for_cell(share: float, *, probability: float = SEEN) -> int:
    """Images that show a cell of this share at least once with the given probability.

    ``n >= ln(1 - probability) / ln(1 - share)``.

    Raises:
        EvenhandError: A number out of its range.
    """
    _between("share of the cell", share, 0, 1)
    _between("probability", probability, 0, 1)
    return _up(math.log(1 - probability) / math.log(1 - share))


def detectable_difference(n: float, *, concepts: int, power: float = POWER) -> float:
    """Smallest difference of two methods' mean Delta that is found with this power, at most.

    ``(z_0.975 + z_power) sqrt(2 / (O n))``, 2.8 standard errors at 80 %: the standard error of a mean Delta
    is at most ``1 / sqrt(O n)``, and shared seeds that correlate make it smaller.
    """
    return (Z + float(norm.ppf(power))) * math.sqrt(2 / (concepts * n))


def images_for_difference(difference: float, *, concepts: int, power: float = POWER) -> int:
    """Images per occupation that find such a difference of mean Delta; see :func:`detectable_difference`.

    Raises:
        EvenhandError: A number out of its range.
    """
    _between("difference", difference, 0, 1)
    _between("power", power, ALPHA, 1)
    return _up((detectable_difference(1, concepts=concepts, power=power) / difference) ** 2)


def judge_inflation(*, sensitivity: float, specificity: float) -> float:
    """Factor by which correcting a judge inflates the variance, ``1 / (se + sp - 1)^2``.

    As many times more images are needed. The anchors' own error is not in it and no image removes it.

    Raises:
        EvenhandError: A number out of its range, or a judge no better than chance.
    """
    for name, value in (("sensitivity", sensitivity), ("specificity", specificity)):
        if not 0 <= value <= 1:
            raise EvenhandError(f"{name} is {value}; give a share between 0 and 1")
    slope = sensitivity + specificity - 1
    if slope <= 0:
        raise EvenhandError(
            f"sensitivity {sensitivity} plus specificity {specificity} is at most 1: the judge is no better "
            "than chance; use another judge"
        )
    return 1 / slope**2


def images_of_templates(worth: float, *, templates: int, correlation: float) -> int:
    """Images, spread evenly over templates, that are worth so many independent ones.

    ``n`` with ``n / (1 + (n / T - 1) rho) = worth``. However many seeds are drawn, ``T`` templates are never
    worth more than ``T / rho`` images.

    Args:
        worth: Independent images wanted.
        templates: Templates ``T``.
        correlation: Intraclass correlation ``rho`` of the templates, see
            :func:`evenhand.metrics.statistics.intervals.intraclass_correlation`.

    Raises:
        EvenhandError: A number out of its range, or more is wanted than the templates can give.
    """
    if templates < 1:
        raise EvenhandError(f"number of templates is {templates}; give at least 1")
    if not 0 <= correlation < 1:
        raise EvenhandError(f"correlation of templates is {correlation}; give one from 0 to below 1")
    if worth * correlation >= templates:
        most, needed = templates / correlation, math.floor(worth * correlation) + 1
        raise EvenhandError(
            f"{templates} templates of correlation {correlation:g} are never worth more than {most:.0f} "
            f"images and {worth:.0f} are wanted; use at least {needed} templates"
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
    """How often a paired t test over occupations finds a method that lowers every Delta by ``difference``.

    Two groups and a judge without error. It shows what the rule of :func:`detectable_difference` leaves out:
    a Delta that is folded at 0 and shrinks less than the model does.

    Args:
        difference: By how much; a Delta does not fall below 0.
        n: Images per occupation, of each method.
        concepts: Occupations.
        rng: Random stream.
        runs: Simulated benchmarks; the standard error of the power is at most ``0.5 / sqrt(runs)``.
        deltas: Deltas of the base from which occupations are drawn; evenly from 0 to 1 if ``None``.
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
    """What the images are drawn from and judged by.

    Attributes:
        concepts: Occupations.
        templates: Templates of each.
        correlation: Intraclass correlation of the templates.
        sensitivity: Share of the images of a group that the judge gives that group.
        specificity: Share of the others that it does not.
        share: Share whose interval is wanted.
        power: Probability with which a difference is to be found.
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
    """Images that one claim needs.

    Attributes:
        claim: ``half width``, ``difference`` or ``cell``.
        wanted: The half width, the difference of mean Delta, or the share of the cell.
        independent: Images per occupation if they were independent and the judge without error.
        images: Images per occupation with this judge and these templates.
        total: The same over all occupations.
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
    """Images per occupation that each claim needs.

    A rare cell is to be drawn, not to be estimated: no judge and no template enters there.

    Raises:
        EvenhandError: A number out of its range, or more is wanted than the templates can give.
    """
    if design.concepts < 1:
        raise EvenhandError(f"number of concepts is {design.concepts}; give at least 1")
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
    """The next whole number, safe from the last digit."""
    return max(math.ceil(n - 1e-9), 1)


def _between(name: str, value: float, low: float, high: float) -> None:
    if not low < value < high:
        raise EvenhandError(f"{name} is {value}; give a number above {low:g} and below {high:g}")
