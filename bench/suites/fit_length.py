"""How long fits are: their bound in U-Net passes, and the longer training of tuned methods in runs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from evenhand.bench.registry import spec_text
from evenhand.bench.registry.method_spec import MethodUse
from evenhand.bench.results.result import passes_of_image
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.base import Budget, Method


def bound(budget: Budget, protocol: Protocol) -> int:
    """Upper bound on the U-Net passes of a fit."""
    return budget.images * passes_of_image(protocol.steps, protocol.guidance) + budget.evaluations


def trained_longer(method: Method, *, growth: float, fixed: Collection[str] = ()) -> Method:
    """The method with a training that is ``growth`` times as long, or as long as published if that is less.

    The parameters that :attr:`Method.training_length` names are raised in this order, at most to their
    defaults, which are the published values.

    Args:
        method: The method.
        growth: Factor of the product of these parameters.
        fixed: Parameters that stay.
    """
    for name in method.training_length:
        value = getattr(method, name)
        longer = min(type(method).model_fields[name].default, int(value * growth))
        if name not in fixed and longer > value:
            method = method.model_copy(update={name: longer})
            growth *= value / longer
    return method


def lengthened(use: MethodUse, *, growth: float) -> MethodUse:
    """A tuned method as a run with more concepts trains it: as long for every concept as in the search.

    Given parameters stay, and so does every loop that treats one concept after the other: it draws images of
    every concept, and needs no more for each.

    Args:
        use: The method.
        growth: Number of concepts to balance, relative to that of the search.
    """
    _, given = spec_text.split(use.label, kind="method")
    return replace(use, method=trained_longer(use.method, growth=growth, fixed=given))
