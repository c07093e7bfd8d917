"""The result of one method on one suite: pydantic models whose JSON is the record of a run.

The same run gives the same bytes, so durations are in ``timing.json`` beside the results. The rows are those
of :mod:`evenhand.metrics.rows`. The module imports no torch; ``reports`` reads results through it.
"""

from __future__ import annotations

import json
import math
from functools import cached_property
from importlib.metadata import entry_points
from itertools import combinations, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from evenhand.bench.errors import EvenhandError, unknown
from evenhand.bench.parsing.strict_json import load_json
from evenhand.bench.results.method_card import Cost, MethodCard, Search, passes_of_image
from evenhand.metrics.rows import (
    AgreementRow,
    ComparisonRow,
    CorrectionCheck,
    Coverage,
    CoverageRow,
    ErrorRow,
    EstimateRow,
    LossRow,
    RankRow,
    Real,
    Record,
    SpreadRow,
    SteeringRow,
    TransportRow,
)
from evenhand.metrics.terms import METRIC_TERMS, PANEL

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "BASE",
    "SCHEMA_VERSION",
    "AgreementRow",
    "ComparisonRow",
    "CorrectionCheck",
    "Cost",
    "Coverage",
    "CoverageRow",
    "Environment",
    "ErrorRow",
    "EstimateRow",
    "ImageRow",
    "JudgeCard",
    "LossRow",
    "MethodCard",
    "PromptSetCard",
    "RankRow",
    "Real",
    "Record",
    "Result",
    "Run",
    "Search",
    "Spec",
    "SpreadRow",
    "SteeringRow",
    "Timing",
    "TransportRow",
    "passes_of_image",
]

SCHEMA_VERSION = 2

MAX_SECONDS = 1e10
"""Largest duration of a phase: three centuries."""

MAX_BYTES = 2**26
"""Maximum size of a result file; those of the bundled suites have less than a hundredth of it."""

BASE = "base"
"""The name of the baseline, the method that all others are compared with."""


class JudgeCard(Record):
    """A judge of the run."""

    name: str
    version: str
    title: str
    summary: str
    family: str
    taxonomies: dict[str, list[str]]
    licence: str
    origin: str
    role: str = Field(description="panel, steering or non-voting")


class PromptSetCard(Record):
    """A prompt set of the run."""

    name: str
    version: str
    digest: str
    prompts: int


class Spec(Record):
    """What was run, with hashes.

    An audit of external images has no protocol: suite and model are names given by the auditor, the revision
    is a digest of the images, and the method is the source of the images.
    """

    suite: str
    suite_version: str
    suite_digest: str
    model: str
    model_revision: str
    protocol: dict[str, Any]
    attributes: dict[str, list[str]]
    primary: str = Field(
        default="", description="attribute set whose RMSDelta ranks the methods, joined by *"
    )
    concepts: list[str]
    target: dict[str, float] = Field(
        description="desired share of each cell the methods balance over; the mean where concepts differ"
    )
    target_name: str = Field(default="uniform", description="uniform, labour, or table for a user's own")
    targets: dict[str, dict[str, float]] = Field(
        default_factory=dict, description="the same for each concept, where concepts differ"
    )
    resampled: list[Literal["concepts", "templates"]] = Field(
        default=["concepts"],
        description="what the intervals generalise over besides new images of the same prompts",
    )
    prompt_sets: list[PromptSetCard]
    judges: list[JudgeCard]
    method: MethodCard

    @field_validator("protocol")
    @classmethod
    def _costs_can_be_computed(cls, protocol: dict[str, Any]) -> dict[str, Any]:
        for name, minimum in (("steps", 1), ("guidance", 0)):
            value = protocol.get(name, minimum)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not minimum <= value < math.inf:
                raise ValueError(f"{name} must be a number of at least {minimum}, got {value!r:.40}")
        return protocol

    @cached_property
    def balanced(self) -> tuple[str, ...]:
        """The attributes whose joint cells :attr:`target` lists; empty where it lists none."""
        sizes = range(1, 1 + len(self.attributes))
        subsets = (names for size in sizes for names in combinations(self.attributes, size))
        for names in [tuple(self.primary.split("*")), *subsets]:
            cells = {"*".join(cell) for cell in product(*(self.attributes.get(name, ()) for name in names))}
            if self.target and set(self.target) <= cells:
                return names
        return ()

    def target_share(self, attributes: str, name: str, *, concept: str = "") -> float:
        """Target share of a group or joint cell.

        Groups belong to an attribute: two attributes may have groups of the same name.

        Args:
            attributes: Attribute, or attributes joined by ``*``.
            name: One group of each of them, joined by ``*``.
            concept: A concept; empty for the mean over the concepts.

        Returns:
            The sum over the target cells that it contains. Attributes that are not balanced have even shares.
        """
        groups = dict(zip(attributes.split("*"), name.split("*"), strict=True))
        known = {self.balanced.index(a): group for a, group in groups.items() if a in self.balanced}
        even = math.prod(len(self.attributes[a]) for a in groups if a not in self.balanced)
        target = self.targets.get(concept, self.target) if known else {"": 1.0}
        cells = ((cell.split("*"), share) for cell, share in target.items())
        return sum(share for cell, share in cells if all(cell[i] == g for i, g in known.items())) / even

    @property
    def external(self) -> bool:
        """Whether the result is an audit of external images."""
        return not self.protocol


class Environment(Record):
    """The software that the numbers depend on."""

    evenhand: str
    python: str
    packages: dict[str, str]
    device: str
    guarantee: str = Field(description="the determinism that holds")


class Result(Record):
    """One method's result on one suite."""

    schema_version: int = SCHEMA_VERSION
    spec: Spec
    environment: Environment
    cost: Cost
    coverage: Coverage
    estimates: list[EstimateRow]
    comparisons: list[ComparisonRow]
    ranks: list[RankRow]
    agreement: list[AgreementRow]
    judge_errors: list[ErrorRow] = Field(
        default_factory=list, description="confusion matrices of the judges and the panel"
    )
    steering: list[SteeringRow] = Field(default_factory=list)
    spreads: list[SpreadRow] = Field(default_factory=list)
    losses: list[LossRow] = Field(
        default_factory=list, description="losses against the baseline, which decide the gates"
    )
    correction_check: CorrectionCheck | None = Field(
        default=None,
        description="tests of the correction on images that people labelled; null without labels",
    )
    notes: list[str]

    def estimate(
        self,
        metric: str,
        *,
        attributes: str = "",
        judge: str = PANEL,
        corrected: bool = False,
        concept: str = "",
        group: str = "",
        kind: str | None = None,
    ) -> EstimateRow | None:
        """The estimate row with these keys, or ``None`` if it was not measured.

        If ``kind`` is ``None`` and several kinds of prompts have the row, that of neutral prompts.

        Raises:
            EvenhandError: No metric has this name (the nearest is suggested).
        """
        wanted = (metric, attributes, judge, corrected, concept, group)
        rows = [
            row
            for row in self.estimates
            if (row.metric, row.attributes, row.judge, row.corrected, row.concept, row.group) == wanted
            and kind in (None, row.kind)
        ]
        if not rows:
            known = {*METRIC_TERMS, *entry_points(group="evenhand.metrics").names}
            known |= {row.metric for row in self.estimates}
            if metric not in known:
                raise unknown("metric", metric, known)
        return min(rows, key=lambda row: row.kind != "neutral", default=None)

    @property
    def fit_passes(self) -> int:
        """U-Net passes of the fit: those of the images it drew, and those of its training."""
        return self.cost.fit_images * self._passes_of_image + self.cost.fit_evaluations

    @property
    def images_to_fit(self) -> int:
        """Images drawn for the fit; the passes of its training count as the images they would draw."""
        trained = self.cost.fit_evaluations / max(self._passes_of_image, 1)
        return self.cost.fit_images + math.ceil(trained)

    @property
    def _passes_of_image(self) -> int:
        protocol = self.spec.protocol
        return passes_of_image(protocol.get("steps", 0), protocol.get("guidance", 1.0))

    def to_dataframe(self) -> pd.DataFrame:
        """The estimate rows as a data frame with a ``method`` column."""
        import pandas as pd

        frame = pd.DataFrame([dict(row) for row in self.estimates])
        frame.insert(0, "method", self.spec.method.label)
        return frame

    def to_json(self) -> str:
        """JSON; the same run gives the same bytes."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def load(cls, path: str | Path) -> Result:
        """Read a result file.

        Raises:
            EvenhandError: The file is missing, is not JSON, or does not follow the schema.
        """
        try:
            data = load_json(Path(path), max_bytes=MAX_BYTES)
        except (OSError, ValueError, RecursionError) as fault:
            raise EvenhandError(f"{path}: result cannot be read ({fault}); run the suite again") from fault
        version = data.get("schema_version") if isinstance(data, dict) else None
        if version != SCHEMA_VERSION:
            raise EvenhandError(
                f"{path}: schema version of the result must be {SCHEMA_VERSION}, got {version}; "
                "run the suite again"
            )
        try:
            return cls.model_validate(data)
        except ValueError as fault:
            reason = str(fault).splitlines()[0]
            raise EvenhandError(f"{path}: result is invalid ({reason}); run the suite again") from fault

    @property
    def _title(self) -> str:
        return f"{self.spec.method.label} on {self.spec.suite} ({self.spec.model})"

    def __str__(self) -> str:
        from evenhand.bench.results.notebook import estimates_text

        return estimates_text(self._title, self.estimates)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The aggregate estimates of the panel as a table, for notebooks."""
        from evenhand.bench.results.notebook import estimates_html

        rows = [r for r in self.estimates if not r.concept and not r.group and r.judge in ("", PANEL)]
        return estimates_html(self._title, rows)


class Timing(Record):
    """Seconds a method took on this machine; kept out of the result, which has no clock."""

    method: str
    fit_seconds: float = Field(default=0.0, ge=0, le=MAX_SECONDS)
    generate_seconds: float = Field(default=0.0, ge=0, le=MAX_SECONDS)
    judge_seconds: float = Field(default=0.0, ge=0, le=MAX_SECONDS)
    machine: str = ""
    date: str = Field(default="", description="day on which its first phase began, UTC, as 2026-01-31")

    @model_serializer(mode="wrap")
    def _without_unknown_date(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The fields; entries published before dates were recorded keep their bytes."""
        fields: dict[str, Any] = handler(self)
        return fields if self.date else {name: fields[name] for name in fields if name != "date"}


class Run(Record):
    """The results of a run and references to its images, as reports need them."""

    folder: str
    results: list[Result]
    timings: list[Timing]
    images: list[ImageRow]

    def result(self, method: str) -> Result:
        """The result of the method whose label this is.

        Raises:
            EvenhandError: The run has none (the nearest label is suggested).
        """
        found = {result.spec.method.label: result for result in self.results}
        if method not in found:
            raise unknown(f"method of run {self.folder}:", method, found)
        return found[method]

    def to_dataframe(self) -> pd.DataFrame:
        """The estimate rows of all methods as one data frame with a ``method`` column."""
        import pandas as pd

        return pd.concat([result.to_dataframe() for result in self.results], ignore_index=True)

    def __str__(self) -> str:
        from evenhand.bench.results.summary import summary
        from evenhand.bench.results.text import aligned

        return "\n".join([f"run {self.folder}", *aligned(*summary(self.results))])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The table at the end of a run, for notebooks."""
        from evenhand.bench.results.notebook import html_table
        from evenhand.bench.results.summary import summary

        return html_table(f"run {self.folder}", *summary(self.results))


class ImageRow(Record):
    """One image of a run with its panel labels, for the report's grids."""

    path: str = Field(description="within the folder")
    folder: str = Field(default="", description="that of its run, where images of several runs are shown")
    method: str
    prompt: str
    concept: str
    kind: str
    seed_index: int
    cell: str = Field(default="", description="groups that the prompt names: gender=woman;tone=dark")
    labels: dict[str, str] = Field(description="attribute to perceived group, or 'undetermined'")


Run.model_rebuild()
