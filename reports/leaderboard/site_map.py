"""Paths of the pages of the site: safe file names for any name of a method or judge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evenhand.bench.policy.ranking import Ranking
from evenhand.bench.results.entry import ENTRY_FILE, BoardRow
from evenhand.bench.results.result import JudgeCard
from evenhand.bench.results.text import slug

LONGEST = 80
"""Longest file name, without its suffix."""


@dataclass(frozen=True)
class SiteMap:
    """Paths of the pages, relative to the root of the site.

    Attributes:
        methods: Stem of a suite and label of a method to its page.
        judges: Name and version of a judge to its page, sorted.
    """

    methods: dict[tuple[str, str], str]
    judges: dict[tuple[str, str], str]

    @classmethod
    def of(cls, found: Sequence[Ranking]) -> SiteMap:
        """The map of a site with these suites."""
        methods: dict[tuple[str, str], str] = {}
        for ranking in found:
            labels = [row.result.spec.method.label for row in ranking.rows]
            names = _names(labels)
            methods |= {(ranking.stem, label): f"{ranking.stem}/{names[label]}.html" for label in labels}
        cards = {
            (card.name, card.version)
            for ranking in found
            for row in ranking.every
            for card in row.result.spec.judges
        }
        names = _names([f"{name}@{version}" for name, version in sorted(cards)])
        return cls(methods, {place: f"judges/{names['@'.join(place)]}.html" for place in sorted(cards)})

    def method(self, ranking: Ranking, row: BoardRow) -> str:
        """The page of a method in a suite."""
        return self.methods[ranking.stem, row.result.spec.method.label]

    def judge(self, card: JudgeCard) -> str:
        """The page of a judge in its version."""
        return self.judges[card.name, card.version]

    def suite(self, ranking: Ranking) -> str:
        """The anchor of a suite on the start page."""
        return f"index.html#{ranking.stem}"

    def entry(self, name: str) -> str:
        """The download of an entry; its path is that in the folder of entries, whose names were checked."""
        return f"entries/{name}/{ENTRY_FILE}"


def _names(names: Iterable[str]) -> dict[str, str]:
    """A unique file name, without suffix, for each of the names."""
    found: dict[str, str] = {}
    for label in names:
        stem = slug(label)[:LONGEST] or "unnamed"
        name, twin = stem, 1
        while name in found.values():
            twin += 1
            name = f"{stem}-{twin}"
        found[label] = name
    return found
