"""What every method must satisfy: one function for each clause, on a small task of the bundled model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from evenhand.bench.catalog import parameters_of
from evenhand.bench.method_check.subject import CONCEPTS, PROTOCOL, Subject, cells_of
from evenhand.bench.registry.method_spec import check_intervention
from evenhand.methods.base import Intervention, Track
from evenhand.methods.saving import load, save

PROMPTS = (
    "a photo of an auditor",
    "a photo of a female auditor",
    "a photo of a cat",
    "a construction worker",
)
SEEDS = (1, 2, 3, 4)

COSTS = ("images", "judgements", "evaluations")

Clause = Callable[[Subject], str]
"""Returns a detail for the reader, or raises :class:`ViolationError` or :class:`NotApplicableError`."""


class ViolationError(Exception):
    """The method breaks the clause; the message says how, and what to do."""


class NotApplicableError(Exception):
    """The clause does not apply to the method; the message says why."""


def documented(subject: Subject) -> str:
    """The card is complete and every parameter has a meaning."""
    cls = type(subject.method)
    if empty := [name for name in ("title", "summary", "licence", "origin") if not getattr(cls.info, name)]:
        raise ViolationError(f"info.{empty[0]} is empty; say what it is")
    silent = [parameter["name"] for parameter in parameters_of(cls) if not parameter["meaning"]]
    if silent:
        raise ViolationError(
            f"the docstring of {cls.__name__} does not describe parameter {silent[0]!r}; add it to Attributes"
        )
    return f"{len(cls.model_fields)} parameters"


def space_holds_released_values(subject: Subject) -> str:
    """The search space names parameters and contains their released values."""
    fields, space = type(subject.method).model_fields, subject.method.space()
    if not space:
        raise NotApplicableError("space() is empty: nothing to tune")
    for name in space:
        if name not in fields:
            raise ViolationError(f"space() names {name!r}, which is not a parameter; remove it")
    defaults = {
        name: info.get_default(call_default_factory=True)
        for name, info in fields.items()
        if not info.is_required()
    }
    released = subject.method.model_copy(update=defaults).search_start(subject.cells)
    for name, values in space.items():
        if released[name] not in values:
            raise ViolationError(
                f"space() of {name!r} lacks its released value {released[name]!r}; include it, or let "
                "search_start() name the value that it stands for"
            )
    return ", ".join(space)


def fits(subject: Subject) -> str:
    """``fit`` solves the task and returns the declared class of intervention."""
    intervention = subject.fitted.intervention
    check_intervention(subject.method, intervention)
    size = sum(value.numel() for value in intervention.flat_tensors().values())
    return f"{type(intervention).__name__}, {size:,} numbers in tensors"


def leaves_the_model_unchanged(subject: Subject) -> str:
    """Fitting and sampling do not change the model, bit for bit."""
    values, hooks = subject.state()
    subject.draw(PROMPTS, SEEDS, subject.fitted.intervention)
    subject.fit(subject.method)
    after, hooks_after = subject.state()
    if hooks_after != hooks:
        raise ViolationError(
            f"{hooks_after - hooks} hooks are left on the model; remove them in a finally block"
        )
    changed = sum(not torch.equal(one, other) for one, other in zip(values, after, strict=True))
    if changed:
        raise ViolationError(
            f"{changed} parameters of the model differ; return new weights in the intervention"
        )
    return f"{len(values)} parameters"


def is_reproducible(subject: Subject) -> str:
    """The same task gives the same intervention."""
    if subject.fit(subject.method).intervention.digest() != subject.fitted.intervention.digest():
        raise ViolationError("two fits with the same random stream differ; draw all randomness from task.rng")
    return ""


def survives_storage(subject: Subject) -> str:
    """A stored intervention is the same when it is loaded, and its images do not depend on their order."""
    fitted = subject.fitted.intervention
    with tempfile.TemporaryDirectory() as folder:
        save(fitted, Path(folder))
        again = load(Path(folder), type(subject.method))
    first = subject.draw(PROMPTS, SEEDS, fitted)
    reverse = [images[::-1] for images in subject.draw(PROMPTS[::-1], SEEDS[::-1], again)]
    if (levels := _largest(first, reverse)) > 1:
        raise ViolationError(
            f"images differ by {levels} levels after storage or in another order; keep all state in data and "
            "tensors, and draw from the stream of the image"
        )
    return ""


def keeps_to_its_budget(subject: Subject) -> str:
    """The fit uses at most what ``budget`` declares, and exactly that if it says so."""
    used, declared = subject.fitted.used, costs_declared(subject)
    for name in COSTS:
        if used[name] > declared[name]:
            raise ViolationError(
                f"{name}: {used[name]} used, {declared[name]} declared; raise them in budget()"
            )
    exact = subject.method.budget(concepts=len(CONCEPTS), cells=subject.cells).exact
    for name in COSTS:
        if exact and used[name] < declared[name]:
            raise ViolationError(
                f"{name}: {used[name]} used, exactly {declared[name]} declared; set exact=False"
            )
    return "exact" if exact else "upper bounds"


def samples_at_its_declared_cost(subject: Subject) -> str:
    """Sampling uses at most the declared further U-Net passes per image and step."""
    declared = subject.method.budget(concepts=len(CONCEPTS), cells=subject.cells)
    prompts, seeds = PROMPTS[::3] * 2, SEEDS
    with subject.counted_rows() as seen:
        drawn = subject.draw(prompts, seeds, subject.fitted.intervention)
    used = sum(seen) / (len(drawn) * len(prompts) * PROTOCOL.steps) - 2
    if used < 0 or used > declared.branches or (declared.exact and used != declared.branches):
        raise ViolationError(
            f"{used:g} further passes per image and step, {declared.branches} declared in budget()"
        )
    return f"{used:g} further passes per image and step"


def states_its_track(subject: Subject) -> str:
    """The track is what a user of the fitted method gets."""
    given, stated = _given(subject.fitted.intervention), subject.method.track
    if given != stated:
        raise ViolationError(f"track is {stated!r}, but a user gets {given!r}; override track")
    return stated


def does_nothing_at_zero_strength(subject: Subject) -> str:
    """Zero strength gives the images of the baseline."""
    method, strength = subject.method, subject.method.strength
    if strength is None:
        raise NotApplicableError("no parameter is declared as strength")
    zero = type(method)(**(method.model_dump() | {strength: 0}))
    images = subject.draw(PROMPTS, SEEDS, subject.fit(zero).intervention)
    if levels := _largest(images, subject.draw(PROMPTS, SEEDS) * len(images)):
        raise ViolationError(f"images differ from the baseline's by {levels} levels at {strength}=0")
    return f"{strength}=0"


def accepts_other_tasks(subject: Subject) -> str:
    """One concept and one attribute work as well as several."""
    fitted = subject.fit(subject.method, concepts=CONCEPTS[1:], cells=cells_of("gender")).intervention
    images = subject.draw(PROMPTS[3:] * 2, SEEDS[:2], fitted)[0]
    if not _largest([images[0]], [images[1]]):
        raise ViolationError("two seeds give the same image; keep the noise of the image")
    return f"{len(CONCEPTS[1:])} concept, 2 cells"


BEFORE: tuple[Clause, ...] = (documented, space_holds_released_values)
"""Clauses that need no fit."""

FITTED: tuple[Clause, ...] = (
    keeps_to_its_budget,
    samples_at_its_declared_cost,
    is_reproducible,
    leaves_the_model_unchanged,
    survives_storage,
    states_its_track,
    does_nothing_at_zero_strength,
    accepts_other_tasks,
)
"""Clauses about a fitted method, which apply once :func:`fits` does."""


def costs_declared(subject: Subject) -> dict[str, int]:
    """Upper bounds on the cost of the fit."""
    budget = subject.method.budget(concepts=len(CONCEPTS), cells=subject.cells)
    return {name: getattr(budget, name) for name in COSTS}


def _given(intervention: Intervention) -> Track:
    """What a user of a fitted method gets."""
    if intervention.concept_weights:
        return "a model per concept"
    hooks = ("prompt", "embedding", "sites", "steer")
    acts = any(getattr(type(intervention), hook) is not getattr(Intervention, hook) for hook in hooks)
    return "at sampling time" if acts else "one model"


def _largest(some: list[NDArray[np.int64]], others: list[NDArray[np.int64]]) -> int:
    """Largest difference of images, in levels of 255."""
    return max(int(np.abs(one - other).max()) for one, other in zip(some, others, strict=True))
