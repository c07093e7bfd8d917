"""Which configurations are tried: the starting one, quasi-random ones (Sobol), then proposals of TPE.

The search has no state. The next configuration is a function of the space, the seed and the finished trials,
so an interrupted search resumes with the same configurations.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from evenhand.bench.errors import EvenhandError
from evenhand.methods.space import Choice, Range, Space

if TYPE_CHECKING:
    import optuna

    from evenhand.methods.base import Cell, Method

DIGITS = 3
"""Significant digits of proposed numbers; more would suggest a precision that no search has."""

Tried = Sequence[tuple[Mapping[str, Any], float]]
"""Finished trials: parameters and score, lower is better."""


def start_of(
    method: Method, space: Space, *, stated: Mapping[str, Any], cells: Sequence[Cell]
) -> dict[str, Any]:
    """The configuration of trial 0: the suite's parameters and the method's defaults.

    Args:
        method: The method with the parameters of the suite.
        space: The search space, possibly without some of the method's.
        stated: The parameters as the suite writes them.
        cells: The cells to balance.

    Raises:
        EvenhandError: The space names something that is not a parameter, or a value lies outside of it, where
            TPE could not use it.
    """
    label, fields = method.info.name, type(method).model_fields
    if strange := [name for name in method.space() if name not in fields]:
        raise EvenhandError(f"space() of method {label!r} names {strange[0]!r}, not a parameter; remove it")
    own = method.search_start(cells)
    for name, domain in space.items():
        if own[name] not in domain:
            raise EvenhandError(
                f"method {label!r}: the search would start at {name} = {own[name]!r}, outside its space "
                f"({domain}); set {name} inside it in [methods.{label}] of the suite, or keep it fixed: "
                f"evenhand tune {label}:{name}=VALUE"
            )
    # A record keeps the 2 of a suite, not the 2.0 that the method makes of it.
    as_stated = {name: value for name, value in stated.items() if name in own and value == own[name]}
    return {name: (own | as_stated)[name] for name in space}


def quasi_random(space: Space, *, seed: int) -> Iterator[dict[str, Any]]:
    """Configurations from a scrambled Sobol sequence (Owen, 1998), without end."""
    sobol = qmc.Sobol(d=len(space), seed=seed)
    while True:
        # Blocks of a power of two keep the balance of the sequence.
        for point in sobol.random_base2(m=4) if sobol.num_generated == 0 else sobol.random(16):
            yield configuration(space, point)


def configuration(space: Space, point: Sequence[float] | NDArray[np.float64]) -> dict[str, Any]:
    """The configuration at a point of the unit cube."""
    return {name: _value(domain, float(u)) for (name, domain), u in zip(space.items(), point, strict=True)}


def _value(domain: Range | Choice, u: float) -> Any:
    if isinstance(domain, Choice):
        return domain.values[min(int(u * len(domain.values)), len(domain.values) - 1)]
    # An integer stands for the unit interval that starts at it, so that both ends are as likely as the rest.
    high = domain.high + 1 if domain.integer else domain.high
    scale, back = (math.log, math.exp) if domain.log else (float, float)
    value = back(scale(domain.low) + u * (scale(high) - scale(domain.low)))
    return min(int(value), int(domain.high)) if domain.integer else rounded(domain, value)


def rounded(domain: Range, value: float) -> float:
    """The value with :data:`DIGITS` significant digits, inside the range."""
    return min(max(float(f"{value:.{DIGITS}g}"), domain.low), domain.high)


def proposals(space: Space, tried: Tried, *, seed: int) -> Iterator[dict[str, Any]]:
    """Configurations that TPE (Bergstra et al., 2011) proposes after the finished trials, without end.

    Args:
        space: The search space.
        tried: Finished trials; parameters outside the space are ignored.
        seed: Seed of the sampler.

    Raises:
        EvenhandError: Optuna is not installed.
    """
    optuna = require_optuna()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=0, multivariate=True)
    study = optuna.create_study(sampler=sampler)
    domains = {name: _distribution(domain) for name, domain in space.items()}
    for parameters, score in tried:
        known = {name: _coded(space[name], parameters[name]) for name in space if name in parameters}
        if len(known) == len(space):
            study.add_trial(optuna.trial.create_trial(params=known, distributions=domains, value=score))
    while True:
        asked = study.ask(domains).params
        yield {name: _decoded(domain, asked[name]) for name, domain in space.items()}


def importances(space: Space, tried: Tried, *, seed: int) -> dict[str, float]:
    """The share of the scores' variance that each parameter explains (fANOVA; Hutter et al., 2014).

    Empty where fewer than four trials or scores without variation say nothing.

    Raises:
        EvenhandError: Optuna is not installed.
    """
    optuna = require_optuna()
    domains = {name: _distribution(domain) for name, domain in space.items()}
    study = optuna.create_study()
    for parameters, score in tried:
        known = {name: _coded(space[name], parameters[name]) for name in space if name in parameters}
        if len(known) == len(space):
            study.add_trial(optuna.trial.create_trial(params=known, distributions=domains, value=score))
    if len(study.trials) < 4 or len({score for _, score in tried}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(found[name]) for name in space if name in found}


def _distribution(domain: Range | Choice) -> optuna.distributions.BaseDistribution:
    optuna = require_optuna()
    if isinstance(domain, Choice):
        return optuna.distributions.CategoricalDistribution(range(len(domain.values)))
    if domain.integer:
        return optuna.distributions.IntDistribution(int(domain.low), int(domain.high), log=domain.log)
    return optuna.distributions.FloatDistribution(domain.low, domain.high, log=domain.log)


def _coded(domain: Range | Choice, value: Any) -> Any:
    """The value for Optuna, whose categories must be plain: a choice by its place."""
    return domain.values.index(value) if isinstance(domain, Choice) else value


def _decoded(domain: Range | Choice, value: Any) -> Any:
    if isinstance(domain, Choice):
        return domain.values[value]
    return int(value) if domain.integer else rounded(domain, value)


def require_optuna() -> Any:
    """Optuna, which the last trials of a search and the importance of its parameters need.

    Raises:
        EvenhandError: It is not installed.
    """
    try:
        import optuna
    except ImportError as fault:
        raise EvenhandError("tuning needs the package optuna; run pip install 'evenhand[tune]'") from fault
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
