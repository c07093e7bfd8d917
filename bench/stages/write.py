"""Results from a measurement: the specification of the run, its environment, and its numbers."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch

from evenhand.bench.models.unet import Model
from evenhand.bench.prompts.prompt_set import PromptSet
from evenhand.bench.registry.method_spec import MethodUse
from evenhand.bench.results import result as r
from evenhand.bench.storage.fits import Fitted
from evenhand.bench.suites.evaluation_config import EvaluationConfig
from evenhand.bench.suites.targets import UNIFORM
from evenhand.metrics.correction.calibration import cell_names
from evenhand.metrics.judges.base import Judge
from evenhand.metrics.rows import Measurement
from evenhand.metrics.vision.device import processor_name

PACKAGES = ("torch", "diffusers", "transformers", "open_clip_torch", "numpy", "scipy", "pandas")
"""Packages whose version can affect images, labels or numbers."""

GUARANTEE_CPU = (
    "same bytes for any interruption and batch composition on the same packages and processor kind"
)
GUARANTEE_GPU = "same images up to the last bits of GPU kernels; same numbers from the same images"


@dataclass(frozen=True)
class Provenance:
    """What all results of a run share.

    Attributes:
        name: Name of the suite, or of the audit.
        version: Its version.
        digest: SHA-256 of all settings that affect what is measured.
        evaluation_config: The evaluation settings.
        protocol: Settings of generation; empty for external images.
        balanced: The attributes whose joint cells the target is about.
        device: Kind of the device.
        guarantee: The determinism that holds.
        prompt_sets: The prompts.
        judges: Voting, non-voting and steering judges by name.
        concepts: Concepts of the neutral prompts, in order.
        notes: Notes besides those of the measurement.
    """

    name: str
    version: str
    digest: str
    evaluation_config: EvaluationConfig
    protocol: Mapping[str, Any]
    balanced: tuple[str, ...]
    device: str
    guarantee: str
    prompt_sets: tuple[r.PromptSetCard, ...]
    judges: Mapping[str, Judge]
    concepts: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Subject:
    """The source of the images of a result.

    Attributes:
        card: The card of the row.
        model: The generator.
        revision: Its revision, or the digest of its images.
        cost: The cost of the images.
    """

    card: r.MethodCard
    model: str
    revision: str
    cost: r.Cost


def subject_of_run(
    use: MethodUse,
    *,
    model: Model,
    fitted: Fitted,
    images: int,
    branches: int,
    other_fits: Sequence[str] = (),
) -> Subject:
    """The subject of a method of a run.

    Args:
        use: The method.
        model: The model that the method was applied to.
        fitted: The fitted method.
        images: Images generated for the evaluation.
        branches: Further U-Net passes per image and step.
        other_fits: Digests of the interventions of the run's other fits of the method.
    """
    card = r.MethodCard(
        label=use.label,
        fit=use.fit,
        fit_of=use.fit_of,
        other_fits=list(other_fits),
        track=use.method.track,
        share_trained=use.method.share_trained,
        search=use.search,
        parameters=use.parameters,
        steering_judge=use.method.steering_judge,
        strength=use.strength,
        intervention=fitted.intervention.digest(),
        **use.method.info.model_dump(exclude={"architectures", "ours"}),
    )
    cost = r.Cost(
        fit_images=fitted.images,
        fit_judgements=fitted.judgements,
        fit_evaluations=fitted.evaluations,
        branches=branches,
        images=images,
        intervention_bytes=fitted.bytes,
        record=dict(fitted.intervention.record),
        fit_cache=fitted.cache,
    )
    return Subject(card=card, model=model.name, revision=model.revision, cost=cost)


def machine(device: torch.device) -> str:
    """The accelerator, or the processor and its number of cores, for timings."""
    name = processor_name(device)
    return name if device.type == "cuda" else f"{name}, {os.cpu_count()} cores"


def result_of(subject: Subject, *, provenance: Provenance, measured: Measurement) -> r.Result:
    """The result of one subject."""
    return r.Result(
        spec=_spec(subject, provenance),
        environment=_environment(provenance),
        cost=subject.cost,
        notes=[*_cache_notes(subject), *provenance.notes, *measured.notes],
        **measured_fields(measured, subject.card.label),
    )


def _cache_notes(subject: Subject) -> list[str]:
    if not subject.cost.fit_cache:
        return []
    return [
        f"The fit of {subject.card.label} was pulled from {subject.cost.fit_cache} and not made in this run. "
        "Its cost is what the cache states, and the leaderboard does not accept it."
    ]


def measured_fields(measured: Measurement, label: str) -> dict[str, Any]:
    """The fields of a method's result that come from the measurement, by name.

    Args:
        measured: The measurement.
        label: Label of the method.
    """
    return {
        "coverage": measured.coverage[label],
        "estimates": measured.estimates[label],
        "comparisons": [r.ComparisonRow.of(row) for row in measured.differences if row.label == label],
        "ranks": measured.ranks.get(label, []),
        "agreement": measured.agreement,
        "judge_errors": measured.judge_errors,
        "steering": measured.steering.get(label, []),
        "spreads": measured.spreads.get(label, []),
        "correction_check": measured.correction_checks.get(label),
        "losses": measured.losses.get(label, []),
    }


def prompt_set_card(prompt_set: PromptSet) -> r.PromptSetCard:
    """The card of a prompt set in a result."""
    return r.PromptSetCard(
        name=prompt_set.name,
        version=prompt_set.version,
        digest=prompt_set.digest,
        prompts=len(prompt_set.prompts),
    )


def _spec(subject: Subject, provenance: Provenance) -> r.Spec:
    return r.Spec(
        model=subject.model,
        model_revision=subject.revision,
        judges=[
            _judge(judge, provenance.evaluation_config, subject.card) for judge in provenance.judges.values()
        ],
        method=subject.card,
        **stated(
            name=provenance.name,
            version=provenance.version,
            digest=provenance.digest,
            protocol=provenance.protocol,
            evaluation_config=provenance.evaluation_config,
            balanced=provenance.balanced,
            concepts=provenance.concepts,
            prompt_sets=provenance.prompt_sets,
        ),
    )


def stated(
    *,
    name: str,
    version: str,
    digest: str,
    protocol: Mapping[str, Any],
    evaluation_config: EvaluationConfig,
    balanced: Sequence[str],
    concepts: Sequence[str],
    prompt_sets: Sequence[r.PromptSetCard],
) -> dict[str, Any]:
    """The fields of the specification that a suite or an audit sets, by name; see :class:`Provenance`."""
    return {
        "suite": name,
        "suite_version": version,
        "suite_digest": digest,
        "protocol": dict(protocol),
        "attributes": {attribute: list(groups) for attribute, groups in evaluation_config.attributes.items()},
        "primary": "*".join(evaluation_config.primary),
        "concepts": list(concepts),
        "resampled": evaluation_config.bootstrap.resampled,
        "prompt_sets": list(prompt_sets),
        **_target(evaluation_config, concepts=concepts, balanced=balanced),
    }


def _target(
    evaluation_config: EvaluationConfig, *, concepts: Sequence[str], balanced: Sequence[str]
) -> dict[str, Any]:
    """The fields of the specification that state the target."""
    names = cell_names([evaluation_config.attributes[name] for name in balanced])
    if evaluation_config.target == UNIFORM:
        even = {name: 1 / len(names) for name in names}
        return {"target": even, "target_name": UNIFORM, "targets": {}}
    shares = evaluation_config.target_shares(concepts, balanced)
    rows = {
        concept: dict(zip(names, row.tolist(), strict=True))
        for concept, row in zip(concepts, shares, strict=True)
    }
    return {
        "target": dict(zip(names, shares.mean(axis=0).tolist(), strict=True)),
        "target_name": evaluation_config.target if isinstance(evaluation_config.target, str) else "table",
        "targets": rows if (shares != shares[0]).any() else {},
    }


def _judge(judge: Judge, evaluation_config: EvaluationConfig, card: r.MethodCard) -> r.JudgeCard:
    name = judge.info.name
    steers = name == card.steering_judge
    return r.JudgeCard(
        role="panel" if name in evaluation_config.panel else "steering" if steers else "non-voting",
        **judge.info.model_dump(mode="json"),
    )


def _environment(provenance: Provenance) -> r.Environment:
    return r.Environment(
        evenhand=version("evenhand"),
        python=platform.python_version(),
        packages={name: version(name) for name in PACKAGES},
        device=provenance.device,
        guarantee=provenance.guarantee,
    )
