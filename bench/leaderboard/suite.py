"""The suite of an entry: never what the entry says, but the registered suite that it says it ran."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from evenhand.bench.prompts.plan import Item, concepts, make_plan
from evenhand.bench.prompts.prompt_set import PromptSet
from evenhand.bench.registry.entry_points import SUITES
from evenhand.bench.results.result import JudgeCard, Result, Spec
from evenhand.bench.stages.write import prompt_set_card, stated
from evenhand.bench.suites.evaluation_config import EvaluationConfig
from evenhand.bench.suites.suite import Suite, load_suite


@dataclass(frozen=True, eq=False)
class KnownSuite:
    """A registered suite and what it plans.

    Attributes:
        suite: The suite.
        items: Every image that it plans, in order.
        prompt_sets: The prompt sets that it draws from.
    """

    suite: Suite
    items: tuple[Item, ...]
    prompt_sets: tuple[PromptSet, ...]

    @cached_property
    def evaluation_config(self) -> EvaluationConfig:
        """How its images are judged and measured."""
        return EvaluationConfig.of(self.suite)

    @cached_property
    def concepts(self) -> tuple[str, ...]:
        """Concepts of its neutral prompts, in order."""
        return concepts(self.items)

    @cached_property
    def stated(self) -> dict[str, Any]:
        """The fields of a result's specification that are the suite's, by name."""
        suite = self.suite
        return {"model": suite.model} | stated(
            name=suite.name,
            version=suite.version,
            digest=suite.digest(),
            protocol=suite.protocol.model_dump(mode="json"),
            evaluation_config=self.evaluation_config,
            balanced=suite.balanced,
            concepts=self.concepts,
            prompt_sets=[prompt_set_card(one) for one in self.prompt_sets],
        )

    def judges(self, spec: Spec) -> list[JudgeCard]:
        """The cards of the judges whose labels an entry holds: the suite's panel and non_voting_judges.

        A steering judge that the suite does not ask labels the images of its own method alone, which can
        be compared with nothing.
        """
        asked = {*self.suite.panel, *self.suite.non_voting_judges}
        return [card for card in spec.judges if card.name in asked]


def known_suite(spec: Spec) -> KnownSuite | None:
    """The registered suite that ``spec`` is about, or ``None``: it must have the same version and digest."""
    # Looked up among the names first: another name would be taken for a path.
    if spec.suite not in SUITES.names():
        return None
    found = _load(spec.suite)
    same = (spec.suite_version, spec.suite_digest) == (found.suite.version, found.stated["suite_digest"])
    return found if same else None


def unlike_the_suite(result: Result, known: KnownSuite) -> list[str]:
    """What a result says otherwise than its suite does, each as a clause."""
    spec, coverage = result.spec, result.coverage
    faults = [
        f"its {name} is not that of suite {spec.suite!r}; submit the run again"
        for name, value in known.stated.items()
        if getattr(spec, name) != value
    ]
    found = {card.name: card.role for card in spec.judges}
    voters = {name for name, role in found.items() if role == "panel"}
    if voters != set(known.suite.panel):
        faults.append(f"its panel is {sorted(voters)}; that of the suite is {sorted(known.suite.panel)}")
    if lacking := sorted({*known.suite.panel, *known.suite.non_voting_judges} - set(found)):
        faults.append(f"it has no card of judge {lacking[0]!r}; submit the run again")
    if len(found) < len(spec.judges):
        faults.append("it has two cards of one judge; keep one")
    if coverage.planned != len(known.items):
        faults.append(
            f"it covers {coverage.planned:,} images and its suite plans {len(known.items):,}; "
            "submit a finished run"
        )
    if result.cost.images != coverage.made:
        faults.append(
            f"it counts {result.cost.images:,} images as its cost and {coverage.made:,} as made; "
            "submit the run again"
        )
    return faults


@cache
def _load(name: str) -> KnownSuite:
    suite = load_suite(name)
    return KnownSuite(suite, *make_plan(suite))
