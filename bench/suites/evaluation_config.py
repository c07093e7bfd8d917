"""How images are judged and measured: the settings that a suite and an audit have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from evenhand.bench.registry.judge_spec import judge_name
from evenhand.bench.suites.targets import (
    LABOUR,
    UNIFORM,
    Table,
    check_table,
    read_table,
    table_of,
    target_shares,
)
from evenhand.metrics.rows import own_names


class Spec(BaseModel):
    """Base of all suite models: frozen, without unknown keys or non-finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)

    def __dir__(self) -> list[str]:
        """Fields and methods for completion, without the methods of pydantic."""
        return own_names(super().__dir__())


MAX_SETS, MAX_JUDGES, MAX_METRICS = 100, 50, 100
"""Maximum numbers of attribute sets, judges of either kind, and further metrics; bundled suites have at most
six of each."""

Level = Literal["concepts", "templates"]


class Bootstrap(Spec):
    """Settings of the paired cluster bootstrap; see :mod:`evenhand.metrics.statistics.resampling`.

    Attributes:
        draws: Number of resamples.
        seed: Seed of all random streams.
        resample_concepts: Whether concepts are resampled too, for claims about concepts beyond the suite's.
        scheme: The levels at which images are resampled; see
            :data:`evenhand.metrics.estimation.views.Scheme`.
        resample_templates: Whether templates are resampled too, for claims about sentences like the suite's.
        intervals: How intervals of means over concepts are computed; see
            :data:`evenhand.metrics.estimation.views.Intervals`.
    """

    draws: int = Field(default=2000, ge=100, le=100_000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    resample_concepts: bool = True
    scheme: Literal["auto", "two-stage", "outermost"] = "auto"
    resample_templates: bool = False
    intervals: Literal["percentile", "transformed"] = "percentile"

    @property
    def resampled(self) -> list[Level]:
        """The levels besides images that intervals generalise over."""
        chosen: dict[Level, bool] = {
            "concepts": self.resample_concepts,
            "templates": self.resample_templates,
        }
        return [level for level, resampled in chosen.items() if resampled]


class EvaluationSettings(Spec):
    """The settings that decide how images are judged and measured; attributes are declared by the subclass.

    Attributes:
        target: Target shares of methods and metrics: ``"uniform"``, ``"labour"`` (share of women by
            occupation, United States 2022), or a table of :mod:`evenhand.bench.suites.targets`; the path of
            a CSV or of a result is replaced by its table.
        report: Attribute sets to measure, each a list of attribute names.
        primary: The attribute set whose RMSDelta ranks the methods.
        panel: Voting judges, in the spelling of the label table. The steering judge of a method must not be
            among them.
        non_voting_judges: Judges that are measured and shown but do not vote.
        calibration: Confusion counts of the judges: ``"mini"``, ``"mini-generated"`` or a CSV; empty
            for none.
        scorer: Model for alignment and same-seed distance; empty for none.
        metrics: Registered metrics to measure besides those of every suite.
        bootstrap: Settings of the bootstrap.
    """

    target: str | Table = UNIFORM
    report: tuple[tuple[str, ...], ...] = Field(max_length=MAX_SETS)
    primary: tuple[str, ...]
    panel: tuple[str, ...] = Field(max_length=MAX_JUDGES)
    non_voting_judges: tuple[str, ...] = Field(default=(), max_length=MAX_JUDGES)
    calibration: str = ""
    scorer: str = ""
    metrics: tuple[str, ...] = Field(default=(), max_length=MAX_METRICS)
    bootstrap: Bootstrap = Bootstrap()

    @field_validator("target")
    @classmethod
    def _read(cls, target: str | Table) -> str | Table:
        if isinstance(target, str) and target not in (UNIFORM, LABOUR):
            return read_table(Path(target))
        return target

    @field_validator("panel", "non_voting_judges")
    @classmethod
    def _canonical(cls, judges: tuple[str, ...]) -> tuple[str, ...]:
        """Normalize the spelling of judges with parameters, as in the label table."""
        return tuple(judge_name(text) for text in judges)

    def check_target(self) -> None:
        """Check that the target has no other attributes and groups than these settings.

        Not for the settings of an audit of some attributes, whose target keeps those of the others.

        Raises:
            EvenhandError: It has, or the shares of an attribute are not valid.
        """
        check_table(table_of(self.target), self.taxonomy)

    @property
    @abstractmethod
    def taxonomy(self) -> dict[str, tuple[str, ...]]:
        """Attributes to groups, in order."""

    def target_shares(self, concepts: Sequence[str], attributes: Sequence[str]) -> NDArray[np.float64]:
        """Target shares ``(concepts, K)`` of the joint cells of ``attributes``.

        Raises:
            EvenhandError: The target has shares of an attribute, but not for one of the concepts.
        """
        return target_shares(self.target, concepts=concepts, attributes=attributes, taxonomy=self.taxonomy)

    def targets(self, concepts: Sequence[str]) -> dict[str, dict[str, list[float]]]:
        """Target shares by attribute set and concept; empty for the uniform target."""
        if self.target == UNIFORM:
            return {}
        sets = dict.fromkeys([*((name,) for name in self.taxonomy), *self.report])
        return {
            "*".join(names): dict(zip(concepts, self.target_shares(concepts, names).tolist(), strict=True))
            for names in sets
        }


class EvaluationConfig(EvaluationSettings):
    """The part of a suite without model, prompts and methods.

    Attributes:
        attributes: Attributes to groups, in order.
    """

    attributes: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, suite: EvaluationSettings) -> Self:
        """The evaluation settings of a suite."""
        shared = {name: getattr(suite, name) for name in EvaluationSettings.model_fields}
        return cls(attributes=suite.taxonomy, **shared)

    @property
    def taxonomy(self) -> dict[str, tuple[str, ...]]:
        """Attributes to groups, in order."""
        return self.attributes
