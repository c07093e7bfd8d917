"""Text with commands in backticks, as HTML."""

from __future__ import annotations

import re

from markupsafe import Markup, escape


def with_code(text: str) -> Markup:
    """The text, escaped, with every part between backticks as ``<code>``.

    >>> with_code("`evenhand doctor` & more")
    Markup('<code>evenhand doctor</code> &amp; more')
    """
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
