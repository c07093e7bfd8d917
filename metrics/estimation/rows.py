"""The rows that :func:`evenhand.metrics.estimation.measure.measure` returns, beside :class:`Estimate`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evenhand.metrics.table import Estimate


@dataclass(frozen=True)
class Difference:
    """An aggregate estimate of a method minus that of another, paired by prompt and seed.

    Attributes:
        metric: As in :class:`Estimate`, like the next six.
        attributes: Attribute or joint attribute.
        kind: Kind of the prompts.
        judge: Judge or ``"panel"``.
        corrected: Whether both sides are corrected.
        group: Group that the value is about.
        method: The method compared.
        against: The method that it is compared with.
        value: Method minus the other.
        low: Lower end of the 95 % interval of the paired difference.
        high: Upper end.
        n: Concepts that both sides have.
        p: Sign-flip test over concepts; ``nan`` for metrics that are not means over concepts.
        p_holm: The same, adjusted over the pairs of this comparison.
        unit: Unit of the value.
    """

    metric: str
    attributes: str
    kind: str
    judge: str
    corrected: bool
    group: str
    method: str
    against: str
    value: float
    low: float
    high: float
    n: int
    p: float
    p_holm: float
    unit: str


@dataclass(frozen=True)
class Rank:
    """Where a method may stand in the order of one metric (simultaneous 95 % confidence sets).

    Attributes:
        metric: As in :class:`Estimate`, like the next four.
        attributes: Attribute or joint attribute.
        kind: Kind of the prompts.
        judge: ``"panel"``, or empty where no judge is involved.
        corrected: Whether the ranked estimates are corrected.
        method: The method.
        value: Its estimate.
        rank_low: Best rank that the data allow; 1 is best.
        rank_high: Worst rank that the data allow.
        tie: Letter of its tie group; ``A`` is the top tier.
        marginal_low: Lower end of the 95 % interval of its rank by itself; under-covers near ties.
        marginal_high: Upper end.
        best: Share of the bootstrap draws in which it is best.
    """

    metric: str
    attributes: str
    kind: str
    judge: str
    corrected: bool
    method: str
    value: float
    rank_low: int
    rank_high: int
    tie: str
    marginal_low: float
    marginal_high: float
    best: float


@dataclass(frozen=True)
class Agreement:
    """Agreement of judges on one attribute, over the distinct images of people.

    Attributes:
        statistic: ``"krippendorff_alpha"`` over all judges, or ``"cohen_kappa"`` of a pair.
        attributes: The attribute.
        judges: The judges compared.
        value: The coefficient, 1 is perfect, 0 is chance.
        low: Lower end of the 95 % interval.
        high: Upper end.
        n: Images that at least two of the judges decided.
    """

    statistic: str
    attributes: str
    judges: tuple[str, ...]
    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class SteeringGap:
    """How much the panel's estimate of a method differs from that of the judge in the method's own loop.

    Attributes:
        metric: As in :class:`Estimate`, like the next three.
        attributes: Attribute or joint attribute.
        kind: Kind of the prompts.
        group: Group that the value is about.
        method: The method.
        judge: Its steering judge.
        panel: The panel's estimate.
        steering: The steering judge's.
        value: Panel minus steering judge, on the same images.
        low: Lower end of the 95 % interval of the paired difference.
        high: Upper end.
        n: Images behind the panel's estimate.
        unit: Unit of the value.
    """

    metric: str
    attributes: str
    kind: str
    group: str
    method: str
    judge: str
    panel: float
    steering: float
    value: float
    low: float
    high: float
    n: int
    unit: str


@dataclass(frozen=True)
class JudgeSpread:
    """How far single judges lie apart on one method.

    Attributes:
        metric: As in :class:`Estimate`, like the next four.
        attributes: Attribute or joint attribute.
        kind: Kind of the prompts.
        corrected: Whether the estimates are corrected.
        group: Group that the value is about.
        method: The method.
        value: Largest minus smallest estimate.
        lowest: The judge with the smallest.
        highest: The judge with the largest.
        judges: Judges compared, the method's steering judge not among them.
        judge_dependent: Whether some judge sees the method above the base and another below.
        unit: Unit of the value.
    """

    metric: str
    attributes: str
    kind: str
    corrected: bool
    group: str
    method: str
    value: float
    lowest: str
    highest: str
    judges: int
    judge_dependent: bool
    unit: str


@dataclass(frozen=True)
class JudgeError:
    """How often a judge gives one label to images of one group: a cell of its confusion matrix.

    Attributes:
        judge: Judge or ``"panel"``.
        attribute: The attribute.
        truth: The group that the anchors show.
        label: The label given, ``"undetermined"`` for none.
        value: Share of the group's anchors; the right answers where ``label`` is ``truth``.
        low: Lower end of its 95 % interval (Wilson).
        high: Upper end.
        n: Anchors of the group.
    """

    judge: str
    attribute: str
    truth: str
    label: str
    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class LabelCoverage:
    """What became of a method's images under one judge and attribute.

    Attributes:
        judge: Judge or ``"panel"``.
        attribute: The attribute.
        kind: Kind of the prompts.
        planned: Images planned; ``decided`` plus all ``undetermined`` ones.
        decided: Images with a label.
        undetermined: Status to images, the statuses of failed images included.
    """

    judge: str
    attribute: str
    kind: str
    planned: int
    decided: int
    undetermined: Mapping[str, int]


@dataclass(frozen=True)
class Coverage:
    """What became of a method's images.

    Attributes:
        method: The method.
        planned: Rows of the image table; ``made`` plus all ``failed`` ones.
        made: Images that exist.
        failed: Status to images.
        labels: One row per judge, attribute and kind of prompts that show people.
    """

    method: str
    planned: int
    made: int
    failed: Mapping[str, int]
    labels: tuple[LabelCoverage, ...]


@dataclass(frozen=True)
class Measurement:
    """Everything that :func:`evenhand.metrics.estimation.measure.measure` found.

    Attributes:
        estimates: Method to its rows: aggregates, concepts, groups; panel and single judges.
        differences: Methods against the base.
        ranks: Order of the methods by every metric of the panel.
        agreement: Agreement of the judges.
        judge_errors: What the judges do on images of known truth.
        steering: The panel against the steering judge of each method that has one.
        spreads: Spread of every aggregate over the single judges.
        coverage: Method to what became of its images.
        notes: What a reader must know, one line each: corrections refused and why, concepts without a value.
    """

    estimates: Mapping[str, list[Estimate]]
    differences: list[Difference]
    ranks: list[Rank]
    agreement: list[Agreement]
    judge_errors: list[JudgeError]
    steering: list[SteeringGap]
    spreads: list[JudgeSpread]
    coverage: Mapping[str, Coverage]
    notes: list[str]
