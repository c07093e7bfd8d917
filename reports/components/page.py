"""What every page needs: its templates, its assets and its content security policy."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from evenhand.reports.components.inline_code import breakable


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
