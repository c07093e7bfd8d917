"""Judges from text: ``NAME`` or ``NAME:parameter=value,…`` becomes a judge with validated parameters."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from evenhand.bench.errors import EvenhandError
from evenhand.bench.registry import spec_text
from evenhand.bench.registry.entry_points import JUDGES

if TYPE_CHECKING:
    from evenhand.metrics.judges.base import Judge
    from evenhand.metrics.judges.recipe import JudgeRecipe


def judge_name(text: str) -> str:
    """The name of the judge in all tables; loads no package.

    >>> judge_name("open-clip: pretrained=dfn2b, model=ViT-L-14")
    'open-clip:model=ViT-L-14,pretrained=dfn2b'

    Raises:
        EvenhandError: A part is not of the form ``parameter=value``.
    """
    return spec_text.label(*spec_text.split(text, kind="judge"))


def load_judge(text: str) -> Judge:
    """The judge that ``text`` names; its weights are found, but loaded only when it labels.

    Args:
        text: ``"vit"`` or ``"open-clip:model=ViT-L-14,pretrained=dfn2b"``.

    Raises:
        EvenhandError: Unknown judge or parameter (the nearest is suggested), invalid value, or missing
            weights.
    """
    name, given = spec_text.split(text, kind="judge")
    recipe = judge_recipe(name)
    if recipe is not None:
        made = spec_text.build(recipe, name, given, kind="judge")
        return made.make(spec_text.label(name, given))
    if given:
        raise EvenhandError(
            f"judge {name!r} takes no parameters, {text!r} gives {', '.join(given)}; write {name!r}"
        )
    return _checked(name, JUDGES.get(name)())


def judge_recipe(name: str) -> type[JudgeRecipe] | None:
    """The recipe registered as judge ``name``, or ``None`` if a function without parameters is registered.

    Raises:
        EvenhandError: The name is unknown, or its package fails to load.
    """
    from evenhand.metrics.judges.recipe import JudgeRecipe

    found = JUDGES.get(name)
    return found if inspect.isclass(found) and issubclass(found, JudgeRecipe) else None


def _checked(name: str, made: Any) -> Judge:
    from evenhand.metrics.judges.base import Judge

    if not isinstance(made, Judge):
        raise EvenhandError(
            f"judge {name!r} is registered as {JUDGES.entries()[name].value}, which must "
            f"return an evenhand.metrics.judges.base.Judge, got {type(made).__name__}; fix its entry point"
        )
    return made
