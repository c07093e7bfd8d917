"""MkDocs hooks: cards from the registry, and pages from outside ``docs``.

A comment in a page expands to facts from the registry when the site is built::

    <!-- evenhand: card methods mist -->

Links work in the repository and on the site. A link to one of :data:`ROOT_PAGES` leads to its copy on the
site; a link to any other file outside ``docs`` becomes the file's path.
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
"""Pages outside ``docs``: path in the repository to path on the site."""

TEMPORARY = ExitStack()

MARKER = re.compile(r"^<!-- evenhand: (.+?) -->$", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[((?:\\.|[^\]\\])*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
FIGURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")
ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):(?=<code>)")


@event_priority(100)
def on_config(config: Any) -> Any:
    """Add the card of every registered method to the navigation, and tell mkdocstrings where the sources are.

    Runs before other plugins, because mkdocstrings reads its paths at this event.
    """
    pages = ["methods/index.md", *(f"methods/{name}.md" for name in METHODS.names())]
    for part in config["nav"]:
        for items in part.values() if isinstance(part, dict) else ():
            items[:] = [{"Methods": pages} if item == {"Methods": "methods"} else item for item in items]
    config.plugins["mkdocstrings"].config.handlers["python"]["paths"] = [_sources()]
    return config


def _sources() -> str:
    """A folder with the sources in the layout of their imports, which an editable install does not have."""
    folder = Path(TEMPORARY.enter_context(tempfile.TemporaryDirectory()), "evenhand")
    folder.mkdir()
    for part in ("bench", "methods", "metrics", "reports"):
        (folder / part).symlink_to(ROOT / part)
    return str(folder.parent)


def on_shutdown() -> None:
    """Remove the temporary folder of ``on_config``."""
    TEMPORARY.close()


def on_files(files: Files, config: Any) -> Files:
    """Add the pages from outside ``docs`` and the figures that they show."""
    for source, address in ROOT_PAGES.items():
        path = ROOT / source
        files.append(File.generated(config, address, abs_src_path=str(path)))
        for figure in FIGURE.findall(path.read_text(encoding="utf-8")):
            files.append(File.generated(config, figure, abs_src_path=str(path.parent / figure)))
    return files


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    """Expand the page's comments and rewrite its links for the site."""
    filled = MARKER.sub(lambda found: cards.expand(found[1]), markdown)
    return LINK.sub(lambda found: _link(found, page=page, files=files), filled)


def on_page_content(html: str, page: Page, config: Any, files: Files) -> str:
    """Remove Sphinx roles from docstrings, and turn empty table headings into cells."""
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
    # A dead link stays, so that the strict build refuses it.
    return f"{label} (`{wanted}`)" if (ROOT / wanted).exists() else found[0]
