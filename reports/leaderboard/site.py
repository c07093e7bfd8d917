"""The leaderboard as a static site: a pure function from its rows to files, without external resources.

Every page embeds its style and script, and its content security policy allows exactly these by their hashes,
because browsers treat neighbouring files of a page opened from disk differently. All logic is in Python; the
templates only place and escape the values that they are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from evenhand.bench.errors import EvenhandError
from evenhand.bench.policy.ranking import Ranking, rankings
from evenhand.bench.results.entry import BoardRow, EntryImage, version_key
from evenhand.bench.results.result import Run
from evenhand.reports.components.page import asset, source_hash, templates
from evenhand.reports.leaderboard import literature
from evenhand.reports.leaderboard.site_index import index_content
from evenhand.reports.leaderboard.site_judge import Errors, judge_content, judge_seats
from evenhand.reports.leaderboard.site_map import SiteMap
from evenhand.reports.leaderboard.site_method import method_content
from evenhand.reports.run.report_text import RUN


def render_site(
    rows: Sequence[BoardRow],
    *,
    entries: Mapping[str, str],
    errors: Errors | None = None,
    runs: Sequence[Run] = (),
    images: Mapping[str, Sequence[EntryImage]] | None = None,
) -> dict[str, str]:
    """Path and content of every file of the site; the same input gives the same bytes.

    Args:
        rows: The rows of all suites.
        entries: Name of an entry to its JSON, for download.
        errors: Measured errors of the judges by suite, for results that do not contain them.
        runs: Runs whose images are shown on the pages of their methods.
        images: Name of an entry to the images in it, which are shown where no run of the method is given.

    Raises:
        EvenhandError: A run belongs to no suite of the board, or one of its images cannot be read.
    """
    _check(runs, rows)
    found = rankings(rows)
    pages = SiteMap.of(found)
    site = {"index.html": render_index(found, pages)}
    for ranking in found:
        for row in ranking.rows:
            path = pages.method(ranking, row)
            content = method_content(ranking, row, pages, runs, images=images or {})
            site[path] = _page("method", pages, path, **content)
    for seat in judge_seats(found):
        path = pages.judge(seat.card)
        site[path] = _page("judge", pages, path, **judge_content(seat, pages, errors or {}))
    site["literature.html"] = _page("literature", pages, **_literature())
    return site | {pages.entry(name): text for name, text in entries.items()}


def render_index(found: Sequence[Ranking], pages: SiteMap) -> str:
    """The start page, with every suite."""
    return _page("index", pages, **index_content(found, pages))


def _check(runs: Sequence[Run], rows: Sequence[BoardRow]) -> None:
    """Refuse a run whose suite is not on the board: its images would be left out silently."""
    known = {version_key(row.result) for row in rows}
    for run in runs:
        if not any(version_key(result) in known for result in run.results):
            raise EvenhandError(
                f"run {run.folder} has no suite and version that is on the board; leave it out"
            )


def _literature() -> dict[str, Any]:
    """The variables of the page of published numbers."""
    protocols = [
        (p, literature.summary_table(p), literature.concept_table(p)) for p in literature.protocols()
    ]
    return {
        "title": "Reported in the literature",
        "protocols": protocols,
        "not_ranked": literature.NOT_RANKED,
        "download": literature.every_table().download,
    }


def _page(kind: str, pages: SiteMap, path: str = "", **content: Any) -> str:
    """One page; ``path`` is its path from the root of the site."""
    style, script = asset("audit.css") + asset("site.css"), asset("site.js")
    return (
        templates()
        .get_template(f"site_{kind}.html.j2")
        .render(
            content,
            root="../" * path.count("/"),
            kind=kind,
            judges=pages.judges,
            style=Markup(style),
            script=Markup(script),
            policy=_policy(style, script),
            report_text=RUN,
        )
    )


def _policy(style: str, script: str) -> str:
    """The content security policy: the page's own style and script, and embedded images."""
    parts = {
        "default-src": "'none'",
        "style-src": source_hash(style),
        "script-src": source_hash(script),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in parts.items())
