"""The images that a run plans for every method and kind of prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evenhand.bench.prompts.plan import make_plan
from evenhand.bench.prompts.selection import method_uses, resolve
from evenhand.bench.suites.suite import Suite
from evenhand.metrics.statistics.paired_loss import LOOKS

if TYPE_CHECKING:
    from evenhand.methods.base import Method


@dataclass(frozen=True)
class PlanRow:
    """The images of a run for one method and one kind of prompts.

    Attributes:
        method: Label of the method.
        kind: Kind of the prompts.
        prompts: Number of distinct prompts.
        images: Number of planned images.
    """

    method: str
    kind: str
    prompts: int
    images: int


def plan(
    suite: str | Suite,
    *,
    methods: Sequence[str | Method | type[Method]] | None = None,
    limit: int = 0,
    fits: int = 0,
    until_decided: bool = False,
) -> list[PlanRow]:
    """The images that a run would generate, without generating them; the most for a run until decided.

    Images that methods generate while they are fitted are not included.

    Args:
        suite: Name of a suite, path of a TOML file, or a suite.
        methods: See :func:`evenhand.bench.run.evaluate`.
        limit: See :func:`evenhand.bench.run.evaluate`.
        fits: See :func:`evenhand.bench.run.evaluate`.
        until_decided: See :func:`evenhand.bench.run.evaluate`.
    """
    resolved = resolve(suite, limit=limit, fits=fits)
    items, _ = make_plan(resolved, look=LOOKS if until_decided else 1)
    kinds = dict.fromkeys(item.prompt.kind for item in items)
    rows = []
    for use in method_uses(resolved, methods):
        for kind in kinds:
            chosen = [item for item in items if item.prompt.kind == kind]
            rows.append(PlanRow(use.label, kind, len({i.prompt.id for i in chosen}), len(chosen)))
    return rows
