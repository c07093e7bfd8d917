"""What a run takes of a suite: its prompts up to a limit, and its methods with their fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evenhand.bench.errors import EvenhandError
from evenhand.bench.policy.strength import ranked
from evenhand.bench.prompts.plan import concepts, make_plan
from evenhand.bench.prompts.prompt_set import load_prompt_set, select
from evenhand.bench.registry.method_spec import MAX_FITS, MethodUse, local_methods, parse_method
from evenhand.bench.results.result import BASE
from evenhand.bench.suites.fit_length import lengthened
from evenhand.bench.suites.suite import Suite, load_suite

if TYPE_CHECKING:
    from evenhand.methods.base import Method


def resolve(suite: str | Suite, *, limit: int, fits: int = 0) -> Suite:
    """The suite with at most ``limit`` prompts of every prompt set, and ``fits`` fits of every method.

    Raises:
        EvenhandError: A number is out of range, a prompt set is unknown, or no prompt is neutral.
    """
    resolved = suite if isinstance(suite, Suite) else load_suite(suite)
    if limit < 0:
        raise EvenhandError(f"limit must be a non-negative integer, got {limit}; use 0 for all prompts")
    if not 0 <= fits <= MAX_FITS:
        raise EvenhandError(f"fits must be at most {MAX_FITS}, got {fits}; use 0 for those of the suite")
    resolved = resolved.model_copy(update={"fits": fits or resolved.fits})
    if limit:
        uses = [use.model_copy(update={"limit": min(limit, use.limit or limit)}) for use in resolved.prompts]
        resolved = resolved.model_copy(update={"prompts": tuple(uses)})
    require_neutral(resolved, table="prompts")
    return resolved


def require_neutral(suite: Suite, *, table: str) -> None:
    """Check that a suite has prompts whose shares can be measured and balanced.

    Args:
        suite: The suite.
        table: The table of its file that names the prompts.

    Raises:
        EvenhandError: No prompt is neutral, or a prompt set is unknown.
    """
    used = (prompt for use in suite.prompts for prompt in select(load_prompt_set(use.name), use))
    if not any(prompt.kind == "neutral" for prompt in used):
        raise EvenhandError(
            f"suite {suite.name!r} selects no neutral prompts, so there are no shares to measure and "
            f"balance; add a [[{table}]] table with some, or extend kinds or limit of one that it has"
        )


def method_uses(suite: Suite, methods: Sequence[str | Method | type[Method]] | None) -> list[MethodUse]:
    """The methods of a run without duplicates, the baseline first, and their other fits last.

    Raises:
        EvenhandError: A method or parameter is unknown, or a steering judge is in the panel.
    """
    names = [BASE, *(suite.defaults if methods is None else methods)]
    local = local_methods(names)
    named = [parse_method(name, suite=suite, local=local) for name in names]
    first = {use.label: use for use in (use.nth_fit(1) for use in named)}
    others = [
        first[label].nth_fit(number)
        for label in ranked(list(first.values()))
        for number in range(2, 1 + suite.fits)
        if label != BASE
    ]
    uses = first | {use.label: use for use in [*named, *others]}
    for use in uses.values():
        if use.method.steering_judge in suite.panel:
            raise EvenhandError(
                f"method {use.label!r}: steering judge {use.method.steering_judge!r} is in the "
                "panel of suite "
                f"{suite.name!r}; choose another one with {use.method.info.name}:judge=…"
            )
    return _with_longer_training(list(uses.values()), suite)


def method_use(suite: Suite, method: str) -> MethodUse:
    """One method as a run of the suite has it.

    Raises:
        EvenhandError: The method or a parameter is unknown.
    """
    (use,) = _with_longer_training([parse_method(method, suite=suite)], suite)
    return use


def _with_longer_training(uses: list[MethodUse], suite: Suite) -> list[MethodUse]:
    """The methods; those with tuned parameters are trained as long for each concept as in their search."""
    if not suite.tuning or not any(use.search for use in uses):
        return uses
    searched = suite.model_copy(update={"prompts": suite.tuning.prompts})
    count, few = (len(concepts(make_plan(each)[0])) for each in (suite, searched))
    return [lengthened(use, growth=count / few) if use.search else use for use in uses]
