"""The suite of an entry: the registered suite of this name and version, never what the entry itself says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

from evenhand.bench.errors import EvenhandError
from evenhand.bench.prompts.plan import Item, concepts, make_plan
from evenhand.bench.prompts.prompt_set import PromptSet
from evenhand.bench.registry.entry_points import SUITES
from evenhand.bench.results.entry import SAMPLE
from evenhand.bench.results.result import JudgeCard, Result, Spec
from evenhand.bench.stages.write import prompt_set_card, stated
from evenhand.bench.suites.evaluation_config import EvaluationConfig
from evenhand.bench.suites.suite import Suite, load_suite
from evenhand.metrics.statistics.paired_loss import LOOKS

MIN_IMAGES = SAMPLE
"""Minimum number of images that a suite must plan: with fewer, no sample of them could be verified."""


@dataclass(frozen=True, eq=False)
class KnownSuite:
    """A registered suite and its plan.

    Attributes:
        suite: The suite.
        items: All planned images, in order.
        prompt_sets: The prompt sets of the suite.
        registered: The name that the suite is registered by.
        look: The look of a run until decided that plans these images; 1 for those of the suite.
    """

    suite: Suite
    items: tuple[Item, ...]
    prompt_sets: tuple[PromptSet, ...]
    registered: str
    look: int = 1

    def of(self, result: Result) -> KnownSuite:
        """The suite with the plan of the look that covers as many images as the result, if there is one."""
        plans = ((look, _plan(self.registered, look)) for look in range(1, LOOKS + 1))
        for look, items in plans:
            if len(items) == result.coverage.planned:
                return replace(self, items=items, look=look)
        return self

    @cached_property
    def evaluation_config(self) -> EvaluationConfig:
        """The evaluation settings of the suite."""
        return EvaluationConfig.of(self.suite)

    @cached_property
    def concepts(self) -> tuple[str, ...]:
        """The concepts of its neutral prompts, in order."""
        return concepts(self.items)

    @cached_property
    def stated(self) -> dict[str, Any]:
        """The fields of the specification of a result that come from the suite, by name."""
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
        """The cards of the judges whose labels are in an entry: panel and non-voting judges of the suite.

        Other steering judges only label the images of their method, so their labels cannot be compared.
        """
        asked = {*self.suite.panel, *self.suite.non_voting_judges}
        return [card for card in spec.judges if card.name in asked]


def known_suite(spec: Spec) -> KnownSuite | None:
    """The registered suite of ``spec`` if name, version and digest are the same, else ``None``.

    One version of a suite is registered by its name, the others as ``<name>-<version>``.
    """
    wanted = spec.suite, spec.suite_version, spec.suite_digest
    for name in (spec.suite, f"{spec.suite}-{spec.suite_version}"):
        # Check the name first: an unknown name would be loaded as a path.
        if name in SUITES.names():
            found = _load(name)
            if wanted == (found.suite.name, found.suite.version, found.stated["suite_digest"]):
                return found
    return None


def suite_of(result: Result, *, name: str) -> KnownSuite:
    """The registered suite of the result of entry ``name``, with as many images as the result covers.

    Raises:
        EvenhandError: The suite is not registered.
    """
    known = known_suite(result.spec)
    if known is None:
        raise EvenhandError(f"{name}: its suite is not registered here; install it")
    return known.of(result)


def refusal(result: Result) -> str:
    """Why no entry can be of the suite that a result states; empty if one can.

    A suite that is not registered at all is no reason: its entries are only reported. A registered name with
    other settings is: a run with ``--limit``, an edited suite, or a version that is not installed.
    """
    spec, planned = result.spec, result.coverage.planned
    known = known_suite(spec)
    if known is not None:
        if len(known.items) < MIN_IMAGES:
            return (
                f"suite {spec.suite!r} plans {len(known.items)} images, and the leaderboard takes suites of "
                f"at least {MIN_IMAGES}; run a larger suite"
            )
        return ""
    versions = registered_versions(spec.suite)
    if not versions:
        return ""
    same = [one for one in versions if one.suite.version == spec.suite_version]
    if same and planned < len(same[0].items):
        return (
            f"it covers {planned:,} of the {len(same[0].items):,} images of suite {spec.suite!r} version "
            f"{spec.suite_version}; run it without --limit"
        )
    listed = ", ".join(f"{one.suite.version} ({one.stated['suite_digest'][:8]})" for one in versions)
    return (
        f"its suite {spec.suite!r:.80} version {spec.suite_version:.40} ({spec.suite_digest[:8]}) is not a "
        f"version that is registered here ({listed}); run one of these unchanged"
    )


def registered_versions(name: str) -> list[KnownSuite]:
    """All registered versions of the suite of this name; none if no suite has the name."""
    names = (one for one in SUITES.names() if one == name or one.startswith(f"{name}-"))
    return [found for found in map(_load, sorted(names)) if found.suite.name == name]


def suite_differences(result: Result, known: KnownSuite) -> list[str]:
    """All differences between a result and its suite, with what to do."""
    spec, coverage = result.spec, result.coverage
    faults = [
        f"its {name} differs from that of suite {spec.suite!r}; submit the run again"
        for name, value in known.stated.items()
        if getattr(spec, name) != value
    ]
    found = {card.name: card.role for card in spec.judges}
    voters = {name for name, role in found.items() if role == "panel"}
    if voters != set(known.suite.panel):
        faults.append(
            f"its panel must be {sorted(known.suite.panel)}, got {sorted(voters)}; submit the run again"
        )
    if missing := sorted({*known.suite.panel, *known.suite.non_voting_judges} - set(found)):
        faults.append(f"it has no card of judge {missing[0]!r}; submit the run again")
    if len(found) < len(spec.judges):
        faults.append("it has two cards of one judge; keep one")
    if coverage.planned != len(known.items):
        faults.append(
            f"it covers {coverage.planned:,} images, but suite {spec.suite!r} plans {len(known.items):,}; "
            "submit a finished run without --limit"
        )
    if result.cost.images != coverage.made:
        faults.append(
            f"its cost counts {result.cost.images:,} images, but {coverage.made:,} were generated; "
            "submit the run again"
        )
    return faults


@cache
def _load(name: str) -> KnownSuite:
    suite = load_suite(name)
    return KnownSuite(suite, *make_plan(suite), registered=name)


@cache
def _plan(name: str, look: int) -> tuple[Item, ...]:
    return make_plan(load_suite(name), look=look)[0]
