"""Where the pages of the site lie: plain file names, whatever methods and judges are called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evenhand.bench.policy.ranking import Ranking
from evenhand.bench.results.entry import ENTRY_FILE, BoardRow
from evenhand.bench.results.result import JudgeCard
from evenhand.bench.results.text import slug

LONGEST = 80
"""Letters of a file name, without its ending."""


@dataclass(frozen=True)
class SiteMap:
    """Paths of the pages, from the site's root.

    Attributes:
        methods: Stem of a suite and label of a method to its page.
        judges: Name and version of a judge to its page, in order.
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
        """The place of a suite on the first page."""
        return f"index.html#{ranking.stem}"

    def entry(self, name: str) -> str:
        """The download of an entry; it lies as in the folder of the entries, whose names are known to fit."""
        return f"entries/{name}/{ENTRY_FILE}"


def _names(words: Iterable[str]) -> dict[str, str]:
    """A file name without its ending for each of the words; different words never share one."""
    found: dict[str, str] = {}
    for word in words:
        stem = slug(word)[:LONGEST] or "unnamed"
        name, twin = stem, 1
        while name in found.values():
            twin += 1
            name = f"{stem}-{twin}"
        found[word] = name
    return found
