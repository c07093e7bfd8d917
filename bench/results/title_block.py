"""What an auditor states about a run: who asked for it, what for, and the thresholds fixed beforehand."""

from __future__ import annotations

from datetime import date
from typing import Self

from pydantic import Field, model_validator

from evenhand.bench.results.result import Record


class Threshold(Record):
    """A limit of one number, as it was fixed before the run."""

    metric: str = Field(description="name of the metric, as in the CSV of every estimate")
    attributes: str = Field(default="", description="attribute, or attributes joined by *")
    group: str = Field(default="", description="group, where the metric is of one, such as share")
    kind: str = Field(default="", description="kind of prompts; empty for the first that was measured")
    at_most: float | None = Field(default=None, allow_inf_nan=False)
    at_least: float | None = Field(default=None, allow_inf_nan=False)
    why: str = Field(default="", description="where the limit comes from")
    fixed: date | None = Field(default=None, description="day on which it was fixed")

    @model_validator(mode="after")
    def _has_one_limit(self) -> Self:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError(f"threshold of {self.metric} must have exactly one of at_most and at_least")
        return self


class TitleBlock(Record):
    """The title block of a report; an empty field is shown as not stated."""

    client: str = ""
    purpose: str = ""
    auditor: str = ""
    independence: str = Field(
        default="", description="ties of the auditor to the client and to the model's maker"
    )
    scope: str = Field(default="", description="what was audited, and what was not")
    intended_use: str = Field(default="", description="use of the model that the audit is about")
    thresholds: list[Threshold] = Field(default_factory=list)
