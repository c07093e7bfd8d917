"""The method of a result: its card with all parameters, its fit, and what it has cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from evenhand.metrics.rows import Real, Record


def without_defaults(record: Record, stated: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The fields without those of ``names`` that have their defaults.

    They were added after entries had been published, whose bytes must stay the same.
    """
    fields = type(record).model_fields
    defaults = {name: fields[name].get_default(call_default_factory=True) for name in names}
    usual = {name for name, default in defaults.items() if getattr(record, name) == default}
    return {name: value for name, value in stated.items() if name not in usual}


class Search(Record):
    """The search that has chosen a method's parameters; see ``evenhand tune``."""

    trials: int = Field(description="configurations that were fitted and measured on development prompts")
    passes: int = Field(description="U-Net passes of their fits")
    record: str = Field(description="SHA-256 of the record of the search")


class MethodCard(Record):
    """A method of the run: its card and all parameters."""

    label: str = Field(description="name of the row: the name of the method and the given parameters")
    fit: int = Field(default=1, description="number of the fit; each has other seeds")
    fit_of: str = Field(default="", description="label of the first fit; empty if this is it")
    other_fits: list[str] = Field(
        default_factory=list,
        description="SHA-256 of the interventions of the run's other fits, in order; equal to that of the "
        "first fit if the method is deterministic",
    )
    track: str = Field(default="", description="what a user of the fitted method gets; empty if not known")
    share_trained: Real | None = Field(
        default=None,
        description="length of the training as a share of the published length; null without training",
    )
    search: Search | None = Field(
        default=None, description="the search that has chosen the parameters; null if they were not tuned"
    )
    name: str
    version: str
    title: str
    summary: str
    paper: str
    licence: str
    origin: str
    family: str
    attributes: str
    needs_training_data: bool
    parameters: dict[str, Any]
    steering_judge: str | None
    intervention: str = Field(description="SHA-256 of the fitted intervention")
    strength: str | None = Field(
        default=None, description="the parameter that leaves the model unchanged when it is zero"
    )

    @model_serializer(mode="wrap")
    def _without_later_fields(self, stated: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_defaults(
            self, stated(self), ("fit", "fit_of", "other_fits", "track", "share_trained", "search")
        )

    @property
    def row(self) -> str:
        """Label of the row that all fits share."""
        return self.fit_of or self.label


class Cost(Record):
    """Counts of what the method used; seconds are in ``timing.json``."""

    fit_images: int = Field(description="images drawn by the method's own loop")
    fit_judgements: int = Field(description="images shown to the steering judge")
    fit_evaluations: int = Field(default=0, description="images passed through the U-Net in training")
    branches: int | None = Field(
        default=None,
        description="further U-Net passes per image and step, beyond the two of classifier-free guidance; "
        "null if not known",
    )
    images: int = Field(description="images generated for the evaluation")
    intervention_bytes: int
    record: dict[str, Any] = Field(default_factory=dict, description="record of the fit, such as its steps")
    fit_cache: str = Field(
        default="",
        description="cache that the fit was pulled from, which states the counts of the fit; empty if it was "
        "made in this run",
    )

    @model_serializer(mode="wrap")
    def _without_later_fields(self, stated: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_defaults(self, stated(self), ("branches", "fit_cache"))

    @property
    def relative_passes(self) -> float | None:
        """U-Net passes of an image relative to the baseline's; ``None`` if not known."""
        return None if self.branches is None else 1 + self.branches / 2


def passes_of_image(steps: int, guidance: float) -> int:
    """U-Net passes of one image: two for each step with classifier-free guidance, otherwise one."""
    return steps * (2 if guidance > 1 else 1)
