"""Pages with generated parts, each between ``<!-- NAME -->`` and ``<!-- end -->``."""

from __future__ import annotations

import re


def fill(page: str, **parts: str) -> str:
    """The page with the text of each part, by name, between its marks; parts that it lacks are ignored."""
    for name, text in parts.items():
        part = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
        page = part.sub(lambda found, text=text: f"{found[1]}{text}\n{found[2]}", page)  # type: ignore[misc]
    return page
