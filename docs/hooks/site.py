"""MkDocs hooks: cards from the registry, and the pages that live outside ``docs``.

A page asks for what the registry knows with a comment, which expands when the site is built::

    <!-- evenhand: card methods mist -->

Links work both in the repository and on the site: one that leads to a page of the repository's root leads
to its copy on the site, and one that leads to any other file becomes the file's path.
"""

from __future__ import annotations

import posixpath
import re
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cards
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from evenhand.bench.registry.entry_points import METHODS

ROOT = Path(__file__).parents[2]

ROOT_PAGES = {
    "leaderboard.md": "leaderboard.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "bench/suites/README.md": "suites.md",
    "bench/mini/CARD.md": "mini.md",
}
"""Pages outside ``docs``, by their path in the repository, and their address on the site."""

TEMPORARY = ExitStack()

MARKER = re.compile(r"^<!-- evenhand: (.+?) -->$", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
FIGURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")
ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):(?=<code>)")


@event_priority(100)
def on_config(config: Any) -> Any:
    """Put the card of every registered method into the navigation, and lead the API to the sources.

    First of all, for the plugin that reads the sources settles where they are at this event.
    """
    pages = ["methods/index.md", *(f"methods/{name}.md" for name in METHODS.names())]
    for part in config["nav"]:
        for items in part.values() if isinstance(part, dict) else ():
            items[:] = [{"Methods": pages} if item == {"Methods": "methods"} else item for item in items]
    config.plugins["mkdocstrings"].config.handlers["python"]["paths"] = [_sources()]
    return config


def _sources() -> str:
    """A folder where the sources lie as they are imported: no reader of files sees an editable install."""
    folder = Path(TEMPORARY.enter_context(tempfile.TemporaryDirectory()), "evenhand")
    folder.mkdir()
    for part in ("bench", "methods", "metrics", "reports"):
        (folder / part).symlink_to(ROOT / part)
    return str(folder.parent)


def on_shutdown() -> None:
    """Remove what ``on_config`` has made."""
    TEMPORARY.close()


def on_files(files: Files, config: Any) -> Files:
    """Add the pages outside ``docs``, and the figures that they link to."""
    for source, address in ROOT_PAGES.items():
        path = ROOT / source
        files.append(File.generated(config, address, abs_src_path=str(path)))
        for figure in FIGURE.findall(path.read_text(encoding="utf-8")):
            files.append(File.generated(config, figure, abs_src_path=str(path.parent / figure)))
    return files


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    """Expand the page's comments and lead its links to where things are on the site."""
    filled = MARKER.sub(lambda found: cards.expand(found[1]), markdown)
    return LINK.sub(lambda found: _link(found, page=page, files=files), filled)


def on_page_content(html: str, page: Page, config: Any, files: Files) -> str:
    """Leave out what docstrings mark for another tool; make cells without text no headings."""
    return ROLE.sub("", html).replace("<th></th>", "<td></td>")


def _link(found: re.Match[str], *, page: Page, files: Files) -> str:
    label, target, anchor = found[1], found[2], found[3] or ""
    place = str(page.file.src_uri)
    if "://" in target or files.get_file_from_path(posixpath.join(posixpath.dirname(place), target)):
        return found[0]
    home = next((source for source, address in ROOT_PAGES.items() if address == place), f"docs/{place}")
    wanted = posixpath.normpath(posixpath.join(posixpath.dirname(home), target))
    address = ROOT_PAGES.get(wanted, wanted.removeprefix("docs/"))
    if files.get_file_from_path(address):
        return f"[{label}]({posixpath.relpath(address, posixpath.dirname(place) or '.')}{anchor})"
    # What does not exist stays as it is: the strict build refuses it.
    return f"{label} (`{wanted}`)" if (ROOT / wanted).exists() else found[0]
