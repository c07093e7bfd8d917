"""What every page needs: its templates, its assets and its content security policy."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


@cache
def templates() -> Environment:
    """The templates of all pages; they escape what they embed, and a missing name is an error."""
    found = Environment(
        loader=PackageLoader("evenhand.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["breakable"] = breakable
    return found


def breakable(text: str) -> Markup:
    """The escaped text with places to break a line between the parameters of a method's label.

    Without them, a label such as ``uce:erase=0.5,scope=joint`` breaks inside a word, or widens its table.
    """
    if isinstance(text, Markup):
        return text
    return Markup("<wbr>").join(re.split(r'(?<=[:,])(?=["A-Za-z])', text))


@cache
def asset(name: str) -> str:
    """The text of a style sheet or script of the templates."""
    return files("evenhand.reports.templates").joinpath(name).read_text(encoding="utf-8")


def policy(*scripts: str) -> str:
    """A policy that allows inline styles, embedded images and these inline scripts, by their hashes."""
    allowed = f"; script-src {' '.join(map(source_hash, scripts))}" if scripts else ""
    return f"default-src 'none'; style-src 'unsafe-inline'; img-src data:{allowed}"


def source_hash(script: str) -> str:
    """The source expression of a policy that allows this inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
