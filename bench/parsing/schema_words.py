"""Says in one clause what is wrong with a document that does not follow its schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

_RULES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "is missing",
    "extra_forbidden": lambda _: "is not a field of this document",
    "int_type": lambda _: "must be an integer",
    "float_type": lambda _: "must be a number",
    "finite_number": lambda _: "must be a finite number",
    "string_type": lambda _: "must be text",
    "bool_type": lambda _: "must be true or false",
    "list_type": lambda _: "must be a list",
    "dict_type": lambda _: "must be an object",
    "model_type": lambda _: "must be an object",
    "model_attributes_type": lambda _: "must be an object",
    "literal_error": lambda ctx: f"must be {ctx['expected']}",
    "greater_than": lambda ctx: f"must be greater than {ctx['gt']}",
    "greater_than_equal": lambda ctx: f"must be at least {ctx['ge']}",
    "less_than": lambda ctx: f"must be less than {ctx['lt']}",
    "less_than_equal": lambda ctx: f"must be at most {ctx['le']}",
    "too_long": lambda ctx: f"must have at most {ctx['max_length']} items",
    "string_pattern_mismatch": lambda _: "does not have the required form",
    "value_error": lambda ctx: str(ctx["error"]),
}

_OBJECTS = (dict, list)


def in_words(fault: ValidationError) -> str:
    """The first thing that a schema rejects: ``"result.cost.images must be an integer, got 'x'"``."""
    errors = fault.errors(include_url=False)
    first, value = errors[0], errors[0]["input"]
    place = ".".join(map(str, first["loc"]))
    others = len(errors) - 1
    more = f" (and {others} more error{'s' if others > 1 else ''})" if others else ""
    rule = _RULES.get(first["type"])
    said = rule(first.get("ctx", {})) if rule is not None else "is not valid"
    if first["type"] == "value_error":
        return (f"{place:.200}: " if place else "") + f"{said:.200}{more}"
    silent = first["type"] == "missing" or isinstance(value, _OBJECTS)
    got = "" if silent else f", got {value!r:.60}"
    return f"{place or 'the document':.200} {said:.200}{got}{more}"
