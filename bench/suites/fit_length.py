"""How long fits may be, in U-Net passes; tuned methods are trained longer in runs than in their search."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace

from evenhand.bench.registry import spec_text
from evenhand.bench.registry.method_spec import MethodUse
from evenhand.bench.results.result import passes_of_image
from evenhand.bench.suites.suite import Protocol, Suite
from evenhand.methods.base import Budget, Method


def bound(budget: Budget, protocol: Protocol) -> int:
    """Upper bound on the U-Net passes of a fit."""
    return budget.images * passes_of_image(protocol.steps, protocol.guidance) + budget.evaluations


def lengthened(use: MethodUse, *, suite: Suite, passes: int, concepts: int) -> MethodUse:
    """The method with longer training and loops, as far as the passes allow and its authors went.

    A search compares short fits on few concepts. The parameters that :attr:`Method.training_length` and
    :attr:`Method.loop_length` name are raised in this order, at most to their defaults, which are the
    published values. Those that were given stay.

    Args:
        use: The method.
        suite: The suite; provides cells and protocol.
        passes: Largest number of U-Net passes of the fit.
        concepts: Number of concepts to balance.
    """
    _, given = spec_text.split(use.label, kind="method")
    method, fields = use.method, type(use.method).model_fields
    for name in (*method.training_length, *method.loop_length):
        if name in given:
            continue

        def is_too_long(value: int, *, name: str = name, method: Method = method) -> bool:
            longer = method.model_copy(update={name: value})
            return bound(longer.budget(concepts=concepts, cells=suite.cells()), suite.protocol) > passes

        values = range(getattr(method, name), fields[name].default + 1)
        count = bisect_right(values, False, key=is_too_long)
        if count:
            method = method.model_copy(update={name: values[count - 1]})
    return replace(use, method=method)
