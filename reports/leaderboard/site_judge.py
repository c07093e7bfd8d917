"""A judge's page: its groups, its role in each suite, and its measured errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evenhand.bench.policy.ranking import Ranking, title_of
from evenhand.bench.results.lookup import Reading
from evenhand.bench.results.result import ErrorRow, JudgeCard, Result
from evenhand.bench.results.text import PANEL, attribute, count, listing, sentence
from evenhand.reports.components.tables import Table
from evenhand.reports.leaderboard.site_map import SiteMap
from evenhand.reports.run.judge_errors import errors_tables
from evenhand.reports.run.judges import agreement_table

Errors = Mapping[str, Sequence[ErrorRow]]
"""Digest of a suite to the measured errors of its judges and of their panel."""

ROLES = {
    "panel": "votes in the panel",
    "steering": "steers the method and has no vote on its result",
    "non-voting": "is measured and shown, but has no vote",
}
"""What a judge does in a result, by its role; the one that determines the headline first."""


@dataclass(frozen=True)
class Seat:
    """A judge and version, with the suites whose results name it."""

    card: JudgeCard
    suites: list[Ranking]


@dataclass(frozen=True)
class OnSuite:
    """The role and the measurements of a judge on one suite.

    Attributes:
        title: The suite.
        href: Its anchor on the start page.
        roles: Each role, and the methods in whose results the judge has it.
        errors: Its confusion matrices, one per attribute.
        agreement: Its agreement with the other judges.
    """

    title: str
    href: str
    roles: list[tuple[str, str]]
    errors: list[Table]
    agreement: Table


def judge_seats(found: Sequence[Ranking]) -> list[Seat]:
    """Every judge of the suites by name and version, one item per version."""
    cards: dict[tuple[str, str], JudgeCard] = {}
    suites: dict[tuple[str, str], list[Ranking]] = {}
    for ranking in found:
        for card in _cards(ranking):
            cards.setdefault((card.name, card.version), card)
            places = suites.setdefault((card.name, card.version), [])
            if ranking not in places:
                places.append(ranking)
    return [Seat(cards[place], suites[place]) for place in sorted(cards)]


def judge_content(seat: Seat, pages: SiteMap, errors: Errors) -> dict[str, Any]:
    """The variables of a judge's page."""
    card = seat.card
    return {
        "title": card.name,
        "about": f"{card.title}. {sentence(card.summary)}",
        "facts": [
            ("Version", card.version),
            ("Family", f"{card.family}; the judges of a family share one vote"),
            *((sentence(attribute(name)), ", ".join(groups)) for name, groups in card.taxonomies.items()),
            ("Licence", card.licence),
            ("Origin", card.origin),
        ],
        "suites": [_on_suite(card, ranking, pages, errors) for ranking in seat.suites],
    }


def _on_suite(card: JudgeCard, ranking: Ranking, pages: SiteMap, errors: Errors) -> OnSuite:
    seen = _seen(card, ranking, errors)
    return OnSuite(
        title_of(ranking.result),
        pages.suite(ranking),
        _roles(card, ranking),
        _error_tables(seen, stem=ranking.stem),
        _agreement(seen, stem=ranking.stem),
    )


def _cards(ranking: Ranking) -> Iterable[JudgeCard]:
    return (card for row in ranking.every for card in row.result.spec.judges)


def _roles(card: JudgeCard, ranking: Ranking) -> list[tuple[str, str]]:
    """The judge's roles with the methods that they apply to; ``every method`` where there is one role."""
    labels: dict[str, list[str]] = {}
    for row in ranking.every:
        for seen in row.result.spec.judges:
            if (seen.name, seen.version) == (card.name, card.version):
                labels.setdefault(seen.role, []).append(row.result.spec.method.label)
    order = [*ROLES, *sorted(set(labels) - set(ROLES))]
    everywhere = len(labels) == 1 and len(next(iter(labels.values()))) == len(ranking.every)
    return [
        (sentence(ROLES.get(role, role)), "every method" if everywhere else listing(sorted(labels[role])))
        for role in order
        if role in labels
    ]


def _measured(ranking: Ranking, errors: Errors) -> Sequence[ErrorRow]:
    """The errors in the results, or else those known for the suite."""
    carried = (row.result.judge_errors for row in ranking.every if row.result.judge_errors)
    return next(carried, errors.get(ranking.result.spec.suite_digest, ()))


def _error_tables(seen: Result, *, stem: str) -> list[Table]:
    """The confusion matrices of a result, with names that are unique across suites."""
    return [
        replace(table, name=f"{table.name}-{stem}", caption=f"{table.caption}, {stem}")
        for table in errors_tables([Reading.of(seen)])
    ]


def _agreement(base: Result, *, stem: str) -> Table:
    """The agreement table of a result."""
    images = max((row.n for row in base.agreement), default=0)
    about = f"In the run of {base.spec.method.label}: up to {count(images)} images over all methods"
    table = agreement_table([Reading.of(base)])
    return replace(table, name=f"agreement-{stem}", caption=f"{table.caption}, {stem}", about=about)


def _seen(card: JudgeCard, ranking: Ranking, errors: Errors) -> Result:
    """The baseline's result with the agreement and errors of this judge only."""
    results = [row.result for row in ranking.rows]
    base = next((r for r in results if r.spec.method.label == ranking.base), results[0])
    pairs = [row for row in base.agreement if _is_pair(card.name, row.judges)]
    own = [row for row in _measured(ranking, errors) if row.judge in (card.name, PANEL)]
    measured = own if any(row.judge == card.name for row in own) else []
    return base.model_copy(update={"agreement": pairs, "judge_errors": measured})


def _is_pair(name: str, judges: str) -> bool:
    parts = judges.split("*")
    return len(parts) == 2 and name in parts
