"""One trial: fit a configuration on the development concepts, draw the development prompts, measure."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from evenhand.bench.errors import EvenhandError, IncompleteRunError, MethodError
from evenhand.bench.registry.method_spec import parse_method
from evenhand.bench.results.lookup import PRIMARY_METRIC
from evenhand.bench.results.result import BASE, EstimateRow, Result
from evenhand.bench.results.tuning import HarmRow, Origin, Trial
from evenhand.bench.run import evaluate
from evenhand.bench.stages.progress import Progress
from evenhand.bench.suites.fit_length import bound
from evenhand.bench.suites.suite import Suite
from evenhand.metrics.vision.device import best_device, processor_name


def with_parameters(development: Suite, method: str, parameters: Mapping[str, Any]) -> Suite:
    """The development suite in which ``method`` has these parameters besides those that the suite fixes."""
    fixed = development.methods.get(method, {})
    return development.model_copy(update={"methods": {method: {**fixed, **parameters}}})


def affordable(
    development: Suite, method: str, parameters: Mapping[str, Any], *, concepts: int, passes: int
) -> bool:
    """Whether the fit of a configuration cannot need more than ``passes`` U-Net passes.

    Raises:
        EvenhandError: The parameters are not valid.
    """
    suite = with_parameters(development, method, parameters)
    use = parse_method(method, suite=suite)
    budget = use.method.budget(concepts=concepts, cells=suite.cells())
    return bound(budget, suite.protocol) <= passes


def draw_baseline(development: Suite, folder: Path, progress: Progress) -> EstimateRow:
    """Run the baseline in ``folder``, which the trials copy, and return its distance."""
    return _distance(evaluate(development, methods=[], out=folder, progress=progress).result(BASE))


@dataclass(frozen=True)
class Planned:
    """A configuration to try.

    Attributes:
        number: Its place in the record.
        origin: Where it comes from.
        parameters: Its parameters.
    """

    number: int
    origin: Origin
    parameters: dict[str, Any]

    def without_result(self, status: Literal["failed", "over budget"], reason: str) -> Trial:
        """The trial if there is nothing to measure."""
        nan = float("nan")
        return Trial(
            number=self.number,
            origin=self.origin,
            parameters=self.parameters,
            status=status,
            reason=reason,
            distance=nan,
            low=nan,
            high=nan,
            passes=0,
        )


def run_trial(
    planned: Planned, *, development: Suite, method: str, baseline: Path, folder: Path, quiet: bool
) -> Trial:
    """The outcome of one configuration; an interrupted trial resumes.

    Args:
        planned: The configuration.
        development: The development suite.
        method: Name of the method.
        baseline: The run folder of the baseline.
        folder: Folder of the trials of the method.
        quiet: Whether to write no progress.

    Raises:
        EvenhandError: The trial says nothing about the configuration, because something else failed, such as
            a package that is not installed or a folder that is in use.
    """
    suite = with_parameters(development, method, planned.parameters)
    out = folder / f"trial-{planned.number:03d}"
    if not out.exists():
        half = out.with_suffix(".part")
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(baseline, half)
        half.rename(out)
    try:
        run = evaluate(suite, methods=[method], out=out, progress=Progress(quiet=quiet))
    except (MethodError, IncompleteRunError) as fault:
        return planned.without_result("failed", str(fault))
    result = run.result(method)
    found = _distance(result)
    return Trial(
        number=planned.number,
        origin=planned.origin,
        parameters=planned.parameters,
        status="finished",
        distance=found.value,
        low=found.low,
        high=found.high,
        harms=_harms(result),
        passes=result.fit_passes,
        processor=processor_name(torch.device(best_device())),
    )


def _harms(result: Result) -> list[HarmRow]:
    """What the gates compare, as points: a few images cannot prove a bound."""
    return [
        HarmRow(
            name=" ".join(filter(None, [row.quantity, row.attributes, row.group])),
            value=row.value,
            margin=row.margin,
        )
        for row in result.losses
    ]


def _distance(result: Result) -> EstimateRow:
    primary = result.spec.primary
    found = result.estimate(PRIMARY_METRIC, attributes=primary)
    if found is None:
        raise EvenhandError(
            f"{PRIMARY_METRIC} of {primary} was not measured on the development prompts; "
            "add neutral prompts to [[tuning.prompts]]"
        )
    return found
