"""The cards of the registry as Markdown, so that no fact on them is written a second time."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

from evenhand.bench import catalog

Card = dict[str, Any]

HEADS = {
    "methods": ("name", "version", "paper", "licence", "origin", "family", "architectures", "attributes"),
    "judges": ("name", "version", "family", "attributes", "licence", "origin"),
    "metrics": ("name", "range", "better", "kinds", "unit"),
    "suites": ("name", "version", "model", "panel", "non_voting_judges", "balance", "digest"),
    "prompts": ("name", "version", "prompts", "concepts", "kinds", "source", "licence", "digest"),
}
"""Fields of a card's table, by kind."""

TEXTS = {
    "methods": ("summary",),
    "judges": ("summary",),
    "metrics": ("formula", "cannot_tell", "source"),
    "suites": ("description",),
    "prompts": ("description", "motivation", "composition", "limits"),
}
"""Fields of a card that are sentences of their own."""

TITLES = {
    "formula": "Formula",
    "cannot_tell": "What it cannot tell",
    "source": "Source",
    "motivation": "Why it was made",
    "composition": "What is in it",
    "limits": "Limits",
}

ADDRESS = re.compile(r"https://[^\s<>]+")

OWN_NOTES = re.compile(r"(?:; )?measurement\.md [\d.]+")
"""References to design notes that are not published; the formula on the card is what they define."""


def expand(request: str) -> str:
    """Markdown for ``card`` or ``parameters`` of a kind and name, ``cards``, ``list``, ``limits`` of a kind.

    Raises:
        ValueError: The request is none of these.
        EvenhandError: There is no such kind or name.
    """
    match request.split():
        case ["card", kind, name]:
            return _card(kind, catalog.shelf(kind).card(name))
        case ["parameters", kind, name]:
            return _parameters(catalog.shelf(kind).card(name))
        case ["cards", kind]:
            return "\n\n".join(_section(kind, card) for card in catalog.cards(kind))
        case ["list", kind]:
            return _list(kind)
        case ["limits", kind]:
            return _limits(kind)
    raise ValueError(f"cannot expand {request!r}; write card, parameters, cards, list or limits, and a kind")


def _section(kind: str, card: Card) -> str:
    head = f"## {card['title']} {{ #{card['name']} }}"
    parameters = f"\n\n{_parameters(card)}" if card.get("parameters") else ""
    return f"{head}\n\n{_card(kind, card)}{parameters}"


def _card(kind: str, card: Card) -> str:
    texts = [_text(field, card[field]) for field in TEXTS[kind] if OWN_NOTES.sub("", card.get(field, ""))]
    extra: dict[str, Any] = {}
    if kind == "methods":
        steered = any(parameter["name"] == "judge" for parameter in card["parameters"])
        extra = {
            "steering judge": "named by the parameter judge" if steered else "none",
            "training data": "needed" if card["needs_training_data"] else "not needed",
        }
    rows = {**{field: card.get(field) for field in HEADS[kind]}, **extra}
    return "\n\n".join([*texts, _table(("field", "value"), [(k, _value(v)) for k, v in rows.items()])])


def _text(field: str, text: str) -> str:
    text = OWN_NOTES.sub("", text)
    title = TITLES.get(field)
    if title is None:
        return text
    return f"**{title}.** {_code(text) if field == 'formula' else _plain(text)}"


def _parameters(card: Card) -> str:
    if not card["parameters"]:
        return "None."
    rows = [(f"`{p['name']}`", _default(p["default"]), _plain(p["meaning"])) for p in card["parameters"]]
    return _table(("parameter", "default", "meaning"), rows)


def _list(kind: str) -> str:
    columns = [column for column in catalog.shelf(kind).columns if column != "package"]
    page = "{}.md" if kind == "methods" else "#{}"
    rows = []
    for card in catalog.cards(kind):
        name = f"[`{card['name']}`]({page.format(card['name'])})"
        rows.append([name, *(_value(card[column]) for column in columns if column != "name")])
    return _table(columns, rows)


def _limits(kind: str) -> str:
    rows = [
        (f"[`{card['name']}`](cards/{kind}.md#{card['name']})", card["title"], _plain(card["cannot_tell"]))
        for card in catalog.cards(kind)
    ]
    return _table(("name", "title", "what it cannot tell"), rows)


def _default(value: Any) -> str:
    text = _spelt(value)
    if len(text) < 60:
        return _code(text)
    # A long list would push the other columns off the page.
    count = f"{len(value)} entries" if isinstance(value, list | dict) else "text"
    return f"<details><summary>{count}</summary>{_plain(text)}</details>"


def _spelt(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ", ".join(map(_spelt, value)) or "empty"
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_spelt(item)}" for key, item in value.items()) or "empty"
    return str(value) if value != "" else "empty"


def _value(value: Any) -> str:
    text = _spelt(value) if value else "none"
    return f"<{text}>" if ADDRESS.fullmatch(text) else _plain(text)


def _code(text: str) -> str:
    return f"<code>{_plain(text)}</code>"


def _plain(text: str) -> str:
    """The text with nothing in it that Markdown or HTML would read as markup."""
    escaped = html.escape(text, quote=False)
    for sign in "\\`*_{}[]|~^$":
        escaped = escaped.replace(sign, f"&#{ord(sign)};")
    return escaped


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
