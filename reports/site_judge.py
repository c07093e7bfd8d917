"""A judge's page: what it tells apart, where it votes or steers, and how often it was measured to err."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evenhand.bench.result import ErrorRow, JudgeCard, Result
from evenhand.reports.judges import agreement_table
from evenhand.reports.ranking import Ranking, title_of
from evenhand.reports.reading import Reading
from evenhand.reports.site_map import SiteMap
from evenhand.reports.tables import Cell, Row, Table, missing, text
from evenhand.reports.words import attribute, count, interval, listing, number, plural, sentence

Errors = Mapping[str, Sequence[ErrorRow]]
"""Digest of a suite to the measured errors of its judges and of their panel."""

PANEL = "panel"

ROLES = {
    "panel": "votes in the panel",
    "steering": "steers inside the method’s own loop and has no vote in its number",
    "witness": "is measured and shown, and has no vote",
}
"""What a judge does in a result, by its role; the one that carries the headline first."""


@dataclass(frozen=True)
class Seat:
    """A judge in its version, with the suites whose results name it."""

    card: JudgeCard
    suites: list[Ranking]


@dataclass(frozen=True)
class OnSuite:
    """What is known of a judge on one suite.

    Attributes:
        title: The suite.
        href: Its place on the first page.
        roles: Role in words, and the methods in whose results the judge has it.
        errors: Its confusion matrices, one per attribute.
        agreement: Its agreement with the other judges.
    """

    title: str
    href: str
    roles: list[tuple[str, str]]
    errors: list[Table]
    agreement: Table


def judge_seats(found: Sequence[Ranking]) -> list[Seat]:
    """Every judge of the suites by name and version, each version on its own."""
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
    """What a judge's page places."""
    card = seat.card
    return {
        "title": card.name,
        "about": f"{card.title}. {card.summary}",
        "facts": [
            ("Version", card.version),
            ("Family", f"{card.family}; judges of one family share a vote"),
            *((sentence(attribute(name)), ", ".join(groups)) for name, groups in card.taxonomies.items()),
            ("Licence", card.licence),
            ("Origin", card.origin),
        ],
        "suites": [_on_suite(card, ranking, pages, errors) for ranking in seat.suites],
    }


def _on_suite(card: JudgeCard, ranking: Ranking, pages: SiteMap, errors: Errors) -> OnSuite:
    return OnSuite(
        title_of(ranking.result),
        pages.suite(ranking),
        _roles(card, ranking),
        _error_tables(card, _measured(ranking, errors), stem=ranking.stem),
        _agreement(card, ranking),
    )


def _cards(ranking: Ranking) -> Iterable[JudgeCard]:
    return (card for row in ranking.every for card in row.result.spec.judges)


def _roles(card: JudgeCard, ranking: Ranking) -> list[tuple[str, str]]:
    """What the judge does, and in the results of which methods; ``every method`` where there is one role."""
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
    """The errors that the results carry, or else those known of the suite."""
    carried = (row.result.judge_errors for row in ranking.every if row.result.judge_errors)
    return next(carried, errors.get(ranking.result.spec.suite_digest, ()))


def _error_tables(card: JudgeCard, measured: Sequence[ErrorRow], *, stem: str) -> list[Table]:
    """A table for every attribute of which the judge's errors were measured."""
    names = dict.fromkeys(row.attribute for row in measured if row.judge == card.name)
    return [_error_table(card, name, measured, stem=stem) for name in names]


def _error_table(card: JudgeCard, name: str, measured: Sequence[ErrorRow], *, stem: str) -> Table:
    """What was said of pictures known to show each group: by the judge, and by the panel beside it."""
    rows = {(row.judge, row.truth, row.label): row for row in measured if row.attribute == name}
    truths = list(dict.fromkeys(row.truth for row in rows.values()))
    labels = list(dict.fromkeys(row.label for row in rows.values()))
    lines = [
        _error_line([rows.get((judge, truth, label)) for label in labels], truth, group=group)
        for judge, group in ((card.name, "This judge"), (PANEL, "The panel’s vote"))
        for truth in truths
        if any(key[:2] == (judge, truth) for key in rows)
    ]
    return Table(
        f"errors-{stem}-{name}",
        f"{sentence(attribute(name))}: how pictures of known truth were labelled, {stem}",
        ["Truth", *(sentence(label) for label in labels)],
        lines,
        "Share of the pictures that show the group; 95% Wilson intervals",
    )


def _error_line(cells: Sequence[ErrorRow | None], truth: str, *, group: str) -> Row:
    pictures = max(row.n for row in cells if row is not None)
    return Row([text(truth, plural(pictures, "picture")), *map(_error_cell, cells)], group)


def _error_cell(row: ErrorRow | None) -> Cell:
    if row is None or not row.n:
        return missing()
    right = ["right"] if row.label == row.truth else []
    raw = {"": row.value, "low": row.low, "high": row.high, "n": row.n}
    ends = interval(row.low, row.high, percent=True) or "no interval"
    return Cell(number(row.value, percent=True), (ends, *right), "number", raw)


def _agreement(card: JudgeCard, ranking: Ranking) -> Table:
    """Agreement with each other judge, in the run of the untreated model."""
    results = [row.result for row in ranking.rows]
    base = next((r for r in results if r.spec.method.label == ranking.base), results[0])
    table = agreement_table([Reading.of(_pairs(card.name, base))])
    pictures = max((row.n for row in base.agreement), default=0)
    about = f"Over the run of {base.spec.method.label}: up to {count(pictures)} pictures of all its methods"
    caption = f"{table.caption}, {ranking.stem}"
    return Table(f"agreement-{ranking.stem}", caption, table.columns, table.rows, about)


def _pairs(name: str, result: Result) -> Result:
    """The result with nothing but this judge's pairs in its agreement."""
    pairs = [row for row in result.agreement if _is_pair(name, row.judges)]
    return result.model_copy(update={"agreement": pairs})


def _is_pair(name: str, judges: str) -> bool:
    parts = judges.split("*")
    return len(parts) == 2 and name in parts
