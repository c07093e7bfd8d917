"""The cards of all methods, judges, metrics, suites, prompt sets and models."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from evenhand.bench.errors import EvenhandError, unknown
from evenhand.bench.registry.entry_points import JUDGES, METHODS, METRICS, PROMPTS, SUITES, Registry

Card = dict[str, Any]

_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


@dataclass(frozen=True)
class Listing:
    """All entries of one kind.

    Attributes:
        names: Returns the names; loads no package.
        card: Returns the card of a name.
        columns: Fields of the card shown by ``evenhand list``.
    """

    names: Callable[[], Sequence[str]]
    card: Callable[[str], Card]
    columns: tuple[str, ...]


def listing(plural: str) -> Listing:
    """The listing of ``methods``, ``judges``, ``metrics``, ``suites``, ``prompts`` or ``models``.

    Raises:
        EvenhandError: The kind is unknown (the nearest is suggested).
    """
    if plural not in LISTINGS:
        raise unknown("list", plural, LISTINGS)
    return LISTINGS[plural]


def cards(plural: str) -> list[Card]:
    """The cards of one kind, sorted by name; of an entry that fails to load, its name and the error."""
    here = listing(plural)
    return [_card_or_error(here, name) for name in here.names()]


def _card_or_error(here: Listing, name: str) -> Card:
    try:
        return here.card(name)
    except EvenhandError as fault:  # the package of one plug-in must not hide the others
        return {"name": name, "error": str(fault)}


def find(name: str) -> list[Card]:
    """The cards of all entries called ``name``; several kinds may have one.

    Raises:
        EvenhandError: The name is unknown (the nearest is suggested).
    """
    places = {plural: here.names() for plural, here in LISTINGS.items()}
    found = [LISTINGS[plural].card(name) for plural, names in places.items() if name in names]
    if not found:
        raise unknown("name", name, {known for names in places.values() for known in names})
    return found


def _method(name: str) -> Card:
    from evenhand.bench.registry.method_spec import method_class

    cls = method_class(name)
    return {
        "kind": "method",
        "name": name,
        **cls.info.model_dump(mode="json", exclude={"name"}),
        "track": cls.model_construct().track,
        "parameters": parameters_of(cls),
        **_origin(METHODS, name),
    }


def parameters_of(cls: type[BaseModel]) -> list[Card]:
    """Name, default and meaning of the parameters of a method or judge; the meaning is from its docstring."""
    schema = cls.model_json_schema()["properties"]
    meanings = _attribute_docs(cls)
    return [
        {
            "name": name,
            "default": "required" if field.is_required() else schema[name].get("default"),
            "meaning": field.description or meanings.get(name, ""),
        }
        for name, field in cls.model_fields.items()
    ]


def _attribute_docs(cls: type[object]) -> dict[str, str]:
    """The descriptions in the "Attributes:" sections of the class and its bases, by attribute."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        _, _, section = inspect.cleandoc(base.__doc__ or "").partition("\nAttributes:\n")
        for name, text in _ATTRIBUTE.findall(section):
            found[name] = " ".join(text.replace("``", "").split())
    return found


def _judge(name: str) -> Card:
    from evenhand.bench.registry.judge_spec import judge_recipe, load_judge

    recipe = judge_recipe(name)
    if recipe is not None:
        card = {**recipe.card.model_dump(mode="json"), "parameters": parameters_of(recipe)}
    else:
        info = load_judge(name).info
        card = {**info.model_dump(mode="json", exclude={"name"}), "attributes": list(info.taxonomies)}
    return {"kind": "judge", "name": name, **card, **_origin(JUDGES, name)}


def _metric(name: str) -> Card:
    metric = METRICS.get(name)
    fields = ("title", "better", "formula", "cannot_tell", "source", "unit", "kinds")
    return {
        "kind": "metric",
        "name": name,
        **{field: getattr(metric, field) for field in fields},
        "range": f"{metric.low:g} to {metric.high:g}",
        **_origin(METRICS, name),
    }


def _suites() -> list[str]:
    from evenhand.bench.suites import AUDIT_SUITES

    return sorted([*SUITES.names(), *AUDIT_SUITES])


def _suite(name: str) -> Card:
    from evenhand.bench.suites.audit_suite import load_audit_suite
    from evenhand.bench.suites.suite import load_suite

    if (audits := load_audit_suite(name)) is not None:
        place = {"entry_point": "evenhand.bench.suites:AUDIT_SUITES"}
        return {"kind": "suite", **audits.model_dump(mode="json"), **_origin(SUITES, "mini"), **place}
    suite = load_suite(name)
    return {
        "kind": "suite",
        # Another version of a suite is registered by another name.
        **suite.model_dump(mode="json") | {"name": name},
        "digest": suite.digest(),
        **_origin(SUITES, name),
    }


def _prompt_set(name: str) -> Card:
    from evenhand.bench.prompts.prompt_set import load_datasheet, load_prompt_set

    prompts = load_prompt_set(name)
    kinds = list(dict.fromkeys(prompt.kind for prompt in prompts.prompts))
    return {
        "kind": "prompt set",
        **load_datasheet(name).model_dump(mode="json"),
        "prompts": len(prompts.prompts),
        "concepts": len({prompt.concept for prompt in prompts.prompts}),
        "templates": sorted({prompt.template for prompt in prompts.prompts}),
        "kinds": {kind: sum(prompt.kind == kind for prompt in prompts.prompts) for kind in kinds},
        "digest": prompts.digest,
        **_origin(PROMPTS, name),
    }


def _models() -> list[str]:
    from evenhand.bench.models.loading import list_models

    return list_models()


def _model(name: str) -> Card:
    from evenhand.bench.models.loading import load_model

    model = load_model(name)
    width, height = model.size
    return {
        "kind": "model",
        "name": name,
        "family": model.family,
        "revision": model.revision,
        "width": width,
        "height": height,
        "parameters": sum(value.numel() for value in model.denoiser.parameters()),
    }


def _origin(registry: Registry, name: str) -> Card:
    entry = registry.entries()[name]
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else ""
    return {"package": package, "entry_point": entry.value}


LISTINGS = {
    "methods": Listing(METHODS.names, _method, ("name", "family", "title", "package")),
    "judges": Listing(JUDGES.names, _judge, ("name", "family", "attributes", "title", "package")),
    "metrics": Listing(METRICS.names, _metric, ("name", "title", "better", "kinds", "package")),
    "suites": Listing(_suites, _suite, ("name", "version", "title", "package")),
    "prompts": Listing(PROMPTS.names, _prompt_set, ("name", "version", "prompts", "title", "package")),
    "models": Listing(_models, _model, ("name", "family", "width", "height", "parameters")),
}
