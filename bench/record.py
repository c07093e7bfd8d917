"""Writing down a measurement as results: what was run, on what, and what came out."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch

from evenhand.bench import result as r
from evenhand.bench.fitting import Fitted
from evenhand.bench.method_spec import MethodUse
from evenhand.bench.models import Model
from evenhand.bench.prompt_sets import PromptSet
from evenhand.bench.suite import Suite
from evenhand.bench.targets import UNIFORM
from evenhand.metrics.judges.base import Judge
from evenhand.metrics.rows import Measurement

PACKAGES = ("torch", "diffusers", "transformers", "open_clip_torch", "numpy", "scipy", "pandas")
"""Packages whose version can change a picture, a label or a number."""

GUARANTEE_CPU = (
    "same bytes for any interruption and batch composition on the same packages and processor kind"
)
GUARANTEE_GPU = "same pictures up to the last bits of GPU kernels; same numbers from the same pictures"


@dataclass(frozen=True)
class Provenance:
    """What all methods of a run have in common."""

    suite: Suite
    model: Model
    prompt_sets: tuple[PromptSet, ...]
    judges: Mapping[str, Judge]
    concepts: tuple[str, ...]


def machine(model: Model) -> str:
    """The kind of machine, for timings: processor or accelerator, and cores."""
    if model.device.type == "cuda":
        return torch.cuda.get_device_name(model.device)
    return f"{platform.machine()}, {os.cpu_count()} cores"


def results(use: MethodUse, *, provenance: Provenance, measured: Measurement, fitted: Fitted) -> r.Result:
    """The result of one method of the run."""
    label = use.label
    return r.Result(
        spec=_spec(use, provenance, fitted),
        environment=_environment(provenance.model),
        cost=r.Cost(
            fit_pictures=fitted.pictures,
            fit_judgements=fitted.judgements,
            fit_evaluations=fitted.evaluations,
            pictures=measured.coverage[label].made,
            intervention_bytes=fitted.bytes,
            record=dict(fitted.intervention.record),
        ),
        coverage=_coverage(measured, label),
        estimates=[_estimate(e.__dict__) for e in measured.estimates[label]],
        comparisons=_comparisons(measured, label),
        ranks=_ranks(measured, label),
        agreement=[
            r.AgreementRow(
                judges="*".join(a.judges),
                attribute=a.attributes,
                statistic=a.statistic,
                value=a.value,
                low=a.low,
                high=a.high,
                n=a.n,
            )
            for a in measured.agreement
        ],
        notes=list(measured.notes),
    )


def _estimate(row: Mapping[str, object]) -> r.EstimateRow:
    return r.EstimateRow.model_validate(dict(row))


def _spec(use: MethodUse, provenance: Provenance, fitted: Fitted) -> r.Spec:
    suite, info = provenance.suite, use.method.info
    card = r.MethodCard(
        label=use.label,
        parameters=use.parameters,
        steering_judge=use.method.steering_judge,
        strength=use.strength,
        intervention=fitted.intervention.digest(),
        **info.model_dump(exclude={"architectures"}),
    )
    return r.Spec(
        suite=suite.name,
        suite_version=suite.version,
        suite_digest=suite.digest(),
        model=suite.model,
        model_revision=provenance.model.revision,
        protocol=suite.protocol.model_dump(mode="json"),
        attributes={name: list(attribute.groups) for name, attribute in suite.attributes.items()},
        primary="*".join(suite.primary),
        concepts=list(provenance.concepts),
        **_target(suite, provenance.concepts),
        prompt_sets=[
            r.PromptSetCard(name=s.name, version=s.version, digest=s.digest, prompts=len(s.prompts))
            for s in provenance.prompt_sets
        ],
        judges=[_judge(judge, provenance.suite, use) for judge in provenance.judges.values()],
        method=card,
    )


def _target(suite: Suite, concepts: Sequence[str]) -> dict[str, Any]:
    """The fields of the specification that state the target."""
    names = [cell.name for cell in suite.cells()]
    if suite.target == UNIFORM:
        return {"target": {name: 1 / len(names) for name in names}}
    shares = suite.target_shares(concepts, suite.balanced)
    rows = {
        concept: dict(zip(names, row.tolist(), strict=True))
        for concept, row in zip(concepts, shares, strict=True)
    }
    return {
        "target": dict(zip(names, shares.mean(axis=0).tolist(), strict=True)),
        "target_name": suite.target if isinstance(suite.target, str) else "table",
        "targets": rows if (shares != shares[0]).any() else {},
    }


def _judge(judge: Judge, suite: Suite, use: MethodUse) -> r.JudgeCard:
    name = judge.info.name
    steers = name == use.method.steering_judge
    return r.JudgeCard(
        role="panel" if name in suite.panel else "steering" if steers else "witness",
        **judge.info.model_dump(mode="json"),
    )


def _environment(model: Model) -> r.Environment:
    return r.Environment(
        evenhand=version("evenhand"),
        python=platform.python_version(),
        packages={name: version(name) for name in PACKAGES},
        device=model.device.type,
        guarantee=GUARANTEE_CPU if model.device.type == "cpu" else GUARANTEE_GPU,
    )


def _coverage(measured: Measurement, label: str) -> r.Coverage:
    found = measured.coverage[label]
    rows = [
        r.CoverageRow(
            judge=row.judge,
            attribute=row.attribute,
            kind=row.kind,
            pictures=row.planned,
            ok=row.decided,
            undetermined=dict(row.undetermined),
        )
        for row in found.labels
    ]
    return r.Coverage(planned=found.planned, made=found.made, failed=dict(found.failed), rows=rows)


def _comparisons(measured: Measurement, label: str) -> list[r.ComparisonRow]:
    return [
        r.ComparisonRow(
            metric=d.metric,
            attributes=d.attributes,
            kind=d.kind,
            judge=d.judge,
            corrected=d.corrected,
            group=d.group,
            against="base",
            value=d.value,
            low=d.low,
            high=d.high,
            p=d.p_holm,
        )
        for d in measured.differences
        if d.method == label
    ]


def _ranks(measured: Measurement, label: str) -> list[r.RankRow]:
    ranked = {rank.method for rank in measured.ranks}
    return [
        r.RankRow(
            metric=rank.metric,
            attributes=rank.attributes,
            kind=rank.kind,
            judge=rank.judge,
            corrected=rank.corrected,
            low=rank.rank_low,
            high=rank.rank_high,
            of=len(ranked),
            tie_group=rank.tie,
        )
        for rank in measured.ranks
        if rank.method == label and not math.isnan(rank.value)
    ]
