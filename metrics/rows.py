"""The rows of a measurement: one declaration each, for the measurement and for the JSON of a result.

:mod:`evenhand.bench.results` writes these classes as they are, so the order of the fields is the order of the
keys in a result. The module imports no numpy, so that reading results stays fast.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def _parse(value: Any) -> Any:
    return _NON_FINITE.get(value, value) if isinstance(value, str) else value


def _dump(value: float) -> float | str:
    # Nine digits: far below any interval's width, and free of the last bit's noise.
    return float(f"{value:.9g}") if math.isfinite(value) else str(value)


Real = Annotated[float, BeforeValidator(_parse), PlainSerializer(_dump)]
"""A float written with nine significant digits; non-finite values as ``"nan"``, ``"inf"``, ``"-inf"``."""


_PYDANTIC = frozenset(dir(BaseModel))


def own_names(names: Iterable[str]) -> list[str]:
    """The names that completion offers for a model: without the methods that pydantic gives to every one."""
    return [name for name in names if name.startswith("__") or name not in _PYDANTIC]


class Record(BaseModel):
    """Base of all rows and results: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    def __dir__(self) -> list[str]:
        """Fields and methods for completion, without the methods of pydantic."""
        return own_names(super().__dir__())

    def _repr_html_(self) -> str:
        """The texts and numbers of the row as a table, for notebooks."""
        facts = {name: value for name, value in self if isinstance(value, str | int | float) and value != ""}
        texts = {
            name: f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in facts.items()
        }
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in texts.items()
        )
        return f"<table><tbody>{rows}</tbody></table>"


class EstimateRow(Record):
    """A number with its 95 % interval."""

    metric: str = Field(description="name of the metric, for example rms_delta")
    attributes: str = Field(description="attribute, or attributes joined by *; empty where there is none")
    concept: str = Field(description="occupation; empty for the aggregate")
    kind: str = Field(description="kind of the prompts that it was measured on")
    judge: str = Field(description="judge or panel; empty where no judge is involved")
    corrected: bool = Field(description="whether the judge's error was corrected")
    value: Real = Field(description="nan where there is nothing to estimate from")
    low: Real
    high: Real
    n: int = Field(description="images that entered")
    floor: Real = Field(description="expected value of a perfectly fair model at this n; nan if meaningless")
    unit: str = Field(description="unit of the value, 1 for a ratio")
    group: str = Field(default="", description="group or cell; empty where the value is about all of them")


class DifferenceRow(Record):
    """A difference of two methods, paired by prompt and seed: of the aggregate, or of one concept.

    Keys that :class:`EstimateRow` has as well mean the same here.
    """

    label: str = Field(description="label of the method compared")
    against: str = Field(description="label of the method that it is compared with")
    metric: str
    attributes: str
    kind: str
    judge: str
    corrected: bool = Field(description="whether both sides are corrected")
    concept: str = ""
    group: str = ""
    value: Real = Field(description="first side minus second")
    low: Real
    high: Real
    n: int = Field(description="concepts of an aggregate; images of a concept, of the side with fewer")
    p: Real = Field(default=math.nan, description="sign-flip test over concepts")
    p_holm: Real = Field(default=math.nan, description="the same, Holm-adjusted over the pairs")
    unit: str


class ComparisonRow(Record):
    """What a method's result keeps of a :class:`DifferenceRow` between the method and another of its run."""

    metric: str
    attributes: str
    kind: str = "neutral"
    judge: str
    corrected: bool
    group: str = ""
    against: str
    value: Real = Field(description="this method minus the other")
    low: Real
    high: Real
    p: Real = Field(description="sign-flip test over concepts, Holm-adjusted over methods")

    @classmethod
    def of(cls, row: DifferenceRow) -> Self:
        """The row as the result of its method states it; its ``p`` is the adjusted one."""
        kept = {name: getattr(row, name) for name in cls.model_fields}
        return cls(**kept | {"p": row.p_holm})


class FlipRow(Record):
    """How many images of neutral prompts change the perceived group from the second side to the first."""

    label: str
    against: str
    attribute: str
    concept: str = Field(default="", description="concept; empty for all of them")
    groups: list[str]
    table: list[list[int]] = Field(description="images by group of the second side, then of the first")
    changed: Real = Field(description="share of the images decided on both sides")
    low: Real
    high: Real
    n: int
    p: Real = Field(description="McNemar's test, Stuart-Maxwell's for more than two groups")
    p_adjusted: Real = Field(
        description="by Holm over pairs and attributes; with a concept by Benjamini and Hochberg"
    )


class RankRow(Record):
    """Simultaneous 95 % rank confidence set of a method for one metric; rank 1 is best."""

    metric: str
    attributes: str
    kind: str = "neutral"
    judge: str
    corrected: bool
    low: int = Field(description="best rank that the data allow")
    high: int = Field(description="worst rank that the data allow")
    of: int = Field(description="methods that are ranked")
    tie_group: str = Field(description="letter of the tie group; A is the top one")
    beaten_by: list[str] = Field(description="labels of the ranked methods that are shown to be better")


class AgreementRow(Record):
    """Agreement of judges on one attribute, over the distinct images of people."""

    judges: str = Field(description="the judges compared, joined by *")
    attribute: str
    statistic: str = Field(description="krippendorff_alpha over all judges, or cohen_kappa of a pair")
    value: Real = Field(description="1 is perfect agreement, 0 is chance")
    low: Real = math.nan
    high: Real = math.nan
    n: int = Field(description="images that at least two of the judges decided")


class ErrorRow(Record):
    """How often a judge (or the panel) gives one label to images known to show one group."""

    judge: str
    attribute: str
    truth: str
    label: str = Field(description="the label given, or undetermined; right where it is the truth")
    value: Real = Field(description="share of the group's images of known truth")
    low: Real = Field(description="lower end of the 95 % interval (Wilson)")
    high: Real
    n: int = Field(description="images of known truth that show the group")


class SteeringRow(Record):
    """The panel's estimate against that of the judge in the method's own loop, on the same images."""

    metric: str
    attributes: str
    kind: str
    group: str = ""
    judge: str = Field(description="the steering judge")
    panel: Real
    steering: Real
    value: Real = Field(description="panel minus steering judge")
    low: Real
    high: Real
    n: int
    unit: str


class SpreadRow(Record):
    """How far single judges lie apart on an estimate; the method's steering judge is not among them."""

    metric: str
    attributes: str
    kind: str
    corrected: bool
    group: str = ""
    value: Real = Field(description="largest minus smallest estimate")
    lowest: str
    highest: str
    judges: int
    judge_dependent: bool = Field(
        description="whether some judge sees the method above the base and another below"
    )
    unit: str


class LossRow(Record):
    """What a method loses against the baseline on the same prompts and noise; it decides a gate.

    The bounds are one-sided 95 % bounds; in a run until decided they are those of its look, wider so that all
    looks together err in 5 %.
    """

    quantity: str = Field(description="explicit_fidelity, undetermined, over_correction or alignment")
    kind: str = Field(description="kind of the prompts")
    attributes: str = Field(default="", description="attribute; empty where the loss is about none")
    group: str = Field(default="", description="group that the prompts name; empty for all of them")
    value: Real = Field(
        description="share of the images, of alignment relative to the baseline's mean; below 0 is a gain"
    )
    low: Real = Field(description="lower bound, valid for all rows of the gate together")
    high: Real = Field(description="upper bound")
    n: int = Field(ge=1, description="pairs of images")
    margin: Real = Field(gt=0, description="loss that the gate allows")
    needed: Real = Field(
        description="pairs that decide in 80 % of such runs if the observed loss is the true one"
    )
    look: int = Field(
        default=0, ge=0, description="look of a run until decided; 0 for a fixed number of images"
    )


class TransportRow(Record):
    """A test, on images labelled by people, whether the judges' correction holds for a method's images."""

    test: str = Field(
        description="calibration: errors on the anchors of the confusion table and on these images; "
        "baseline: errors on images of the baseline and on these; kind, stereotype: errors on parts of these "
        "images; shares: the corrected share and the share estimated from the labels"
    )
    attribute: str
    kind: str = Field(default="", description="kind of the prompts; empty for all")
    group: str = Field(description="the true group of the images; for shares, the group that differs most")
    rates: dict[str, Real] = Field(description="part of the images to recall; for shares, the two shares")
    n: int = Field(description="images labelled by people that entered")
    p: Real = Field(description="Holm-adjusted over the tests of the method; nan if there is no evidence")


class CorrectionCheck(Record):
    """What labels of people say about the correction of a method's numbers."""

    labelled: dict[str, int] = Field(
        min_length=1,
        description="baseline, if any, and method to images with labels of people, for the rarest attribute",
    )
    tests: list[TransportRow]


class CoverageRow(Record):
    """Decided and undetermined images for one judge, attribute and kind of prompts."""

    judge: str
    attribute: str
    kind: str
    images: int
    ok: int
    undetermined: dict[str, int] = Field(description="status to count; adds up to images - ok")

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.ok + sum(self.undetermined.values()) != self.images:
            raise ValueError(f"coverage of {self.judge}/{self.attribute} does not add up")
        return self


class Coverage(Record):
    """Planned, made and failed images; they add up."""

    planned: int
    made: int
    failed: dict[str, int] = Field(default_factory=dict, description="status to count")
    rows: list[CoverageRow]

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.made + sum(self.failed.values()) != self.planned:
            raise ValueError("coverage does not add up: planned != made + failed")
        return self


@dataclass(frozen=True)
class Measurement:
    """Everything that :func:`evenhand.metrics.estimation.measure.measure` found.

    Attributes:
        estimates: Method to its rows: aggregates, concepts, groups; panel and single judges.
        differences: Methods against the base.
        ranks: Method to its rank sets, one for every metric of the panel that it can be ranked on.
        agreement: Agreement of the judges.
        judge_errors: Confusion matrices of the judges on images of known truth.
        steering: Method to the gaps between the panel and its steering judge; none without such a judge.
        spreads: Method to the spread of every aggregate over the single judges.
        losses: Method to its losses against the base; none for the base itself.
        coverage: Method to what became of its images.
        notes: What a reader must know, one line each: corrections refused and why, concepts without a value.
        correction_checks: Method to what labels of people say about its correction; empty without labels.
    """

    estimates: Mapping[str, list[EstimateRow]]
    differences: list[DifferenceRow]
    ranks: Mapping[str, list[RankRow]]
    agreement: list[AgreementRow]
    judge_errors: list[ErrorRow]
    steering: Mapping[str, list[SteeringRow]]
    spreads: Mapping[str, list[SpreadRow]]
    losses: Mapping[str, list[LossRow]]
    coverage: Mapping[str, Coverage]
    notes: list[str]
    correction_checks: Mapping[str, CorrectionCheck] = field(default_factory=dict)
