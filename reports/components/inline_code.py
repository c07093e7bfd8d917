"""Short text as HTML: commands in backticks, and places to break long labels."""

from __future__ import annotations

import re

from markupsafe import Markup, escape


def with_code(text: str) -> Markup:
    """The text, escaped, with every part between backticks as ``<code>``.

    >>> with_code("`evenhand doctor` & more")
    Markup('<code>evenhand doctor</code> &amp; more')
    """
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def breakable(text: str) -> Markup:
    """The escaped text with places to break a line between the parameters of a method's label.

    Without them, a label such as ``uce:erase=0.5,scope=joint`` breaks inside a word, or widens its table.
    """
    if isinstance(text, Markup):
        return text
    return Markup("<wbr>").join(re.split(r'(?<=[:,])(?=["A-Za-z])', text))
