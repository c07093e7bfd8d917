"""Stored fits: an intervention with what it has cost, and the identity by which a fit is reused."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenhand.bench.errors import EvenhandError
from evenhand.bench.parsing.strict_json import LARGEST, load_json
from evenhand.bench.registry.entry_points import METHODS
from evenhand.bench.registry.method_spec import MethodUse, method_class
from evenhand.bench.results.method_card import MethodCard
from evenhand.bench.storage.files import folder_name, write_atomically
from evenhand.bench.suites.suite import Suite
from evenhand.bench.suites.targets import UNIFORM
from evenhand.methods.base import Intervention
from evenhand.methods.saving import load
from evenhand.methods.source_code import code_digest

_log = logging.getLogger(__name__)

COST_FILE = "cost.json"
"""File of a stored fit with its identity and what it has cost."""

MAX_COST_BYTES = 2**20
"""Maximum size of :data:`COST_FILE`, which has a dozen lines."""

_COUNTS = ("images", "judgements", "evaluations", "bytes")

_KEYED_AS = {
    "images": "pictures",
    "learning_rate": "rate",
    "significance_level": "alpha",
    "step_size": "step",
}
"""Renamed parameters to their former names, which the identity of a fit hashes, so that old fits stay
valid."""

LATER: dict[str, Any] = {
    "gated": "image",
    "gate_depth": 0.72,
    "active": 1.0,
    "unit_norm": False,
    "edit": "add",
    "amounts": {},
    "keep": [],
    "sampling_steps": None,
    "amplified": "tokens",
    "skip": False,
    "turns": "epoch",
    "words": False,
}
"""Parameters added after fits were published, with the value that earlier fits had without stating it.

The identity of a fit omits them at this value.
"""


def stated_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters without those of :data:`LATER` that have the value of earlier fits."""
    return {name: value for name, value in parameters.items() if name not in LATER or value != LATER[name]}


def fit_folder(run: Path, label: str) -> Path:
    """The folder of a method's fit in the folder of a run."""
    return run / "interventions" / folder_name(label)


@dataclass(frozen=True)
class FitIdentity:
    """Hashes of what a fit depends on.

    Attributes:
        fit: Covers the settings, and is the seed of the random stream of the method.
        code: Covers the source code of the method.
    """

    fit: str
    code: str

    def __str__(self) -> str:
        """Both hashes."""
        return f"{self.fit} {self.code}"

    @property
    def key(self) -> str:
        """One hash of both."""
        return hashlib.sha256(str(self).encode()).hexdigest()


@dataclass(frozen=True)
class Fitted:
    """A fitted method.

    Attributes:
        intervention: The fitted intervention.
        images: Number of images generated while fitting.
        judgements: Number of images labelled by the steering judge.
        evaluations: Number of images passed through the U-Net in training.
        bytes: Size of the stored tensors.
        cache: The cache that the fit was pulled from; empty if it was made in its run.
    """

    intervention: Intervention
    images: int
    judgements: int
    evaluations: int
    bytes: int
    cache: str = ""

    @property
    def cost(self) -> dict[str, int]:
        """The counts by name."""
        return {name: getattr(self, name) for name in _COUNTS}


def fit_identity(
    use: MethodUse, *, suite: Suite, concepts: tuple[str, ...], model: str, protocol: str
) -> FitIdentity:
    """The identity of a fit.

    Args:
        use: The method, its parameters and the number of the fit.
        suite: The suite; provides cells and target.
        concepts: The concepts to balance.
        model: Revision of the model.
        protocol: The protocol as canonical JSON.
    """
    parts: dict[str, Any] = {
        "method": use.method.info.name,
        "version": use.method.info.version,
        "parameters": {
            _KEYED_AS.get(name, name): value for name, value in stated_parameters(use.parameters).items()
        },
        "model": model,
        "protocol": protocol,
        "concepts": concepts,
        "cells": [(c.name, c.adjective, c.noun) for c in suite.cells()],
    }
    if use.fit > 1:
        parts["number"] = use.fit
    if suite.target != UNIFORM:
        parts["target"] = suite.target_shares(concepts, suite.balanced).tolist()
    settings = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return FitIdentity(fit=settings, code=code_digest(type(use.method)))


def write_cost(
    folder: Path,
    cost: Mapping[str, int],
    identity: FitIdentity,
    intervention: Intervention,
    *,
    cache: str = "",
) -> None:
    """Write the cost of a fit beside its intervention; only then is the fit complete.

    Args:
        folder: Folder of the fit.
        cost: The counts of :class:`Fitted`.
        identity: The identity of the fit.
        intervention: The stored intervention.
        cache: The cache that the fit was pulled from, if it was.
    """
    document = {**cost, "fit": identity.fit, "code": identity.code}
    if cache:
        document["cache"] = cache
    document["seal"] = _seal(cost, intervention, cache)
    write_atomically(folder / COST_FILE, (json.dumps(document, indent=1) + "\n").encode())


def load_fit(folder: Path, use: MethodUse, identity: FitIdentity) -> Fitted | None:
    """The fit stored in a folder if it has this identity; a damaged one is logged, and counts as missing."""
    try:
        return read_fit(folder, use, identity)
    except FileNotFoundError:
        return None
    except (OSError, EvenhandError) as fault:
        _log.warning("%s: the stored fit cannot be used, fitting again (%s)", use.label, fault)
        return None


def is_fit_stored(folder: Path, use: MethodUse, identity: FitIdentity) -> bool:
    """Whether :func:`load_fit` finds a fit; nothing is logged."""
    try:
        return read_fit(folder, use, identity) is not None
    except (OSError, EvenhandError):
        return False


def read_fit(folder: Path, use: MethodUse, identity: FitIdentity) -> Fitted | None:
    """The fit stored in a folder; ``None`` if it was made with other settings.

    Raises:
        OSError: A file is missing or cannot be read.
        EvenhandError: Other code made the fit, or a file is damaged.
    """
    try:
        cost = load_json(folder / COST_FILE, max_bytes=MAX_COST_BYTES)
        if cost["fit"] != identity.fit:
            return None
        if cost.get("code") != identity.code:
            raise EvenhandError("the code of the method has changed since")
        counted = {name: _count(cost[name]) for name in _COUNTS}
        cache = str(cost.get("cache", ""))
        intervention = load(folder, type(use.method))
        seal = _seal(counted, intervention, cache)
        if cost.get("seal", seal) != seal:
            raise EvenhandError(f"{folder}: costs do not match their checksum")
        return Fitted(intervention=intervention, cache=cache, **counted)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        raise EvenhandError(f"{folder / COST_FILE}: it is damaged ({fault!r})") from fault


def stored_intervention(run: Path, card: MethodCard) -> Intervention:
    """The intervention of a method of a run, checked to be the one of its result.

    Args:
        run: Folder of the run.
        card: The method, as the result of the run states it.

    Raises:
        EvenhandError: A file is missing or damaged, or the method is not registered.
    """
    kind, folder = method_class(card.name), fit_folder(run, card.label)
    try:
        found = load(folder, kind)
        if found.digest() == card.intervention:
            return found
        reason = f"the intervention in {folder} is not the one of the result of {card.label}"
    except EvenhandError as fault:
        reason = str(fault).removesuffix("; fit it again")
    raise EvenhandError(f"{reason}; run the same `evenhand run` command again, which fits it again")


def check_interventions(run: Path, cards: Iterable[MethodCard]) -> None:
    """Check the stored interventions of a run; those of methods that are not registered are left out.

    Raises:
        EvenhandError: See :func:`stored_intervention`.
    """
    known = METHODS.names()
    for card in cards:
        if card.name in known and fit_folder(run, card.label).is_dir():
            stored_intervention(run, card)


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST:
        raise ValueError(f"counts must be non-negative integers, got {value!r:.40}")
    return value


def _seal(cost: Mapping[str, int], intervention: Intervention, cache: str) -> str:
    """Digest of what the digest of an intervention does not include: its cost, record and origin."""
    parts = [cost, dict(intervention.record), *([cache] if cache else [])]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
