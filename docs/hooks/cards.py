"""Renders the cards of the registry as Markdown, so that pages do not repeat their facts."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

import searches

from evenhand.bench import catalog

Card = dict[str, Any]

HEADS = {
    "methods": ("name", "version", "paper", "licence", "origin", "family", "architectures", "attributes"),
    "judges": ("name", "version", "family", "attributes", "licence", "origin"),
    "metrics": ("name", "range", "better", "kinds", "unit"),
    "suites": ("name", "version", "model", "panel", "non_voting_judges", "balance", "digest"),
    "prompts": ("name", "version", "prompts", "concepts", "kinds", "source", "licence", "digest"),
}
"""Fields of a card's table, by kind of card."""

TEXTS = {
    "methods": ("summary",),
    "judges": ("summary",),
    "metrics": ("formula", "cannot_tell", "source"),
    "suites": ("description",),
    "prompts": ("description", "motivation", "composition", "limits"),
}
"""Fields of a card that are shown as paragraphs, by kind of card."""

TITLES = {
    "formula": "Formula",
    "cannot_tell": "What it cannot tell",
    "source": "Source",
    "motivation": "Motivation",
    "composition": "Composition",
    "limits": "Limits",
}

ADDRESS = re.compile(r"https://[^\s<>]+")


def expand(request: str) -> str:
    """Markdown for a request such as ``card methods mist``.

    Args:
        request: ``card`` or ``parameters`` with a kind and a name, ``search`` with a suite and a method, or
            ``cards``, ``list`` or ``limits`` with a kind.

    Raises:
        ValueError: The request has another form.
        EvenhandError: The kind or name does not exist.
    """
    match request.split():
        case ["card", kind, name]:
            return _card(kind, catalog.listing(kind).card(name))
        case ["parameters", kind, name]:
            return _parameters(catalog.listing(kind).card(name))
        case ["search", suite, method]:
            return _search(*searches.search(suite, method))
        case ["cards", kind]:
            return "\n\n".join(_section(kind, card) for card in catalog.cards(kind))
        case ["list", kind]:
            return _list(kind)
        case ["limits", kind]:
            return _limits(kind)
    raise ValueError(
        f"cannot expand {request!r}; give card or parameters with a kind and a name, search "
        "with a suite and a method, or cards, list or limits with a kind"
    )


def _section(kind: str, card: Card) -> str:
    head = f"## {card['title']} {{ #{card['name']} }}"
    parameters = f"\n\n{_parameters(card)}" if card.get("parameters") else ""
    return f"{head}\n\n{_card(kind, card)}{parameters}"


def _card(kind: str, card: Card) -> str:
    texts = [_text(field, card[field]) for field in TEXTS[kind] if card.get(field)]
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
    title = TITLES.get(field)
    if title is None:
        return text
    return f"**{title}.** {_code(text) if field == 'formula' else _plain(text)}"


def _parameters(card: Card) -> str:
    if not card["parameters"]:
        return "None."
    rows = [(f"`{p['name']}`", _default(p["default"]), _plain(p["meaning"])) for p in card["parameters"]]
    return _table(("parameter", "default", "meaning"), rows)


def _search(sentence: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return f"{sentence}\n\n{_table(head, [(role, *map(_plain, rest)) for role, *rest in rows])}"


def _list(kind: str) -> str:
    columns = [column for column in catalog.listing(kind).columns if column != "package"]
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
    text = _in_words(value)
    if len(text) < 60:
        return _code(text)
    # A long list would push the other columns out of the page.
    count = f"{len(value)} entries" if isinstance(value, list | dict) else "text"
    return f"<details><summary>{count}</summary>{_plain(text)}</details>"


def _in_words(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ", ".join(map(_in_words, value)) or "empty"
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_in_words(item)}" for key, item in value.items()) or "empty"
    return str(value) if value != "" else "empty"


def _value(value: Any) -> str:
    text = _in_words(value) if value else "none"
    return f"<{text}>" if ADDRESS.fullmatch(text) else _plain(text)


def _code(text: str) -> str:
    return f"<code>{_plain(text)}</code>"


def _plain(text: str) -> str:
    """The text with everything escaped that Markdown or HTML would read as markup."""
    escaped = html.escape(text, quote=False)
    for sign in "\\`*_{}[]|~^$":
        escaped = escaped.replace(sign, f"&#{ord(sign)};")
    return escaped


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
