"""Compare runs in pairs on their shared prompts and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from evenhand.bench.comparison.runs import (
    Compared,
    check_comparable,
    check_targets,
    load_compared,
    pairs_of,
    shared_confusion,
    shared_evaluation_config,
    with_distinct_names,
)
from evenhand.bench.comparison.tables import pool
from evenhand.bench.errors import EvenhandError
from evenhand.bench.results.comparison import Comparison, Pair, Side
from evenhand.bench.stages.measure import measure_plan, metrics_of
from evenhand.bench.stages.write import measured_fields
from evenhand.bench.storage.files import write_atomically
from evenhand.bench.storage.stored_run import shown_images
from evenhand.metrics.estimation.paired import measure_pairs
from evenhand.metrics.rows import Measurement
from evenhand.reports.comparison.report import render_comparison

CLAIMED = (
    "the seeds are those of the image lists; that images of the same prompt and seed start from the same "
    "noise is their claim and was not checked"
)


def compare(*runs: str | Path, out: str | Path | None = None) -> Comparison:
    """Compare runs in pairs, by prompt and seed; generates and judges nothing.

    Methods of the same name are a pair. A method that only one of two runs has is paired with each method
    that only the other has or, if there is none, with the baseline of the other.

    Args:
        *runs: Folders of finished runs or audits, each as ``"RUN"`` for all its methods or ``"RUN@METHOD"``.
        out: File for the report; not written if ``None``.

    Returns:
        The comparison. Differences are those of a later run minus an earlier one.

    Raises:
        EvenhandError: A run or method is unknown, or the runs are not comparable: they share no prompt, or
            differ in attributes, target or judges.
    """
    if len(runs) < 2:
        raise EvenhandError(
            "a comparison needs at least two runs; give them as RUN RUN, or RUN@METHOD RUN@METHOD"
        )
    loaded = with_distinct_names([load_compared(str(run)) for run in runs])
    check_comparable(loaded)
    comparison = _compared(loaded)
    if out is not None:
        write_atomically(Path(out), render_comparison(comparison).encode())
    return comparison


def _compared(runs: Sequence[Compared]) -> Comparison:
    pairs = pairs_of(runs)
    evaluation_config, limits = shared_evaluation_config(runs)
    confusion, doubts = shared_confusion(runs)
    pooled = pool(runs, scorer=bool(evaluation_config.scorer))
    named = [name for run in runs for result in run.results.values() for name in result.spec.concepts]
    concepts = pooled.concepts(list(dict.fromkeys(named)))
    check_targets(runs, concepts)
    same_noise = pooled.by_seed and _same_noise(runs)
    found = measure_pairs(
        pooled.images,
        pooled.labels,
        plan=measure_plan(
            evaluation_config, concepts, confusion=confusion, metrics=metrics_of(evaluation_config)
        ),
        pairs=pairs,
        embeddings=pooled.vectors if same_noise else None,
    )
    return Comparison(
        evenhand=version("evenhand"),
        sides=[_side(run, method, found.measured) for run in runs for method in run.results],
        pairs=[Pair(label=one, against=other, same_images=pooled.same(one, other)) for one, other in pairs],
        prompts=pooled.prompts,
        shared=pooled.slots,
        concepts=list(concepts),
        attributes={name: list(groups) for name, groups in evaluation_config.attributes.items()},
        primary="*".join(evaluation_config.primary),
        same_noise=same_noise,
        differences=[*found.measured.differences, *found.concepts],
        flips=found.flips,
        caveats=[*pooled.remarks, *([CLAIMED] if same_noise and _audits(runs) else []), *doubts, *limits],
        notes=found.measured.notes,
        images=shown_images(pooled.images, pooled.labels),
    )


def _same_noise(runs: Sequence[Compared]) -> bool:
    """Whether equal seeds give equal noise: model, revision and image size are the same.

    Of image lists only the seeds are known, which claim it.
    """
    specs = [result.spec for run in runs for result in run.results.values()]
    made = {(s.model, s.model_revision, s.protocol.get("width"), s.protocol.get("height")) for s in specs}
    return _audits(runs) or len(made) == 1


def _audits(runs: Sequence[Compared]) -> bool:
    """Whether all images are external."""
    return all(result.spec.external for run in runs for result in run.results.values())


def _side(run: Compared, method: str, measured: Measurement) -> Side:
    label, result = run.label(method), run.results[method]
    spec = result.spec.model_copy(update={"method": result.spec.method.model_copy(update={"label": label})})
    on_shared = result.model_copy(update={"spec": spec, **measured_fields(measured, label)})
    return Side(run=run.name, method=method, images=result.coverage.planned, result=on_shared)
