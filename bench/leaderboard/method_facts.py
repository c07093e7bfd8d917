"""Facts about a method that its row states and that do not depend on a run.

They come from the installed method with the parameters of the entry; what an entry says itself counts only
for a method that is not installed.
"""

from __future__ import annotations

from dataclasses import dataclass

from evenhand.bench.errors import EvenhandError
from evenhand.bench.registry.entry_points import METHODS
from evenhand.bench.registry.method_spec import method_class
from evenhand.bench.results.result import MethodCard
from evenhand.methods.base import TRACKS, Method


@dataclass(frozen=True)
class MethodFacts:
    """Facts about a method.

    Attributes:
        track: What a user of the fitted method gets; empty if not known.
        ours: Whether the authors of Evenhand propose the method.
        documented: Whether Evenhand itself provides the method, so that its card is in the documentation.
        share_trained: Length of the training as a share of the published length; ``None`` without training.
        nothing_to_tune: Whether Evenhand provides the method and it declares nothing to search.
    """

    track: str
    ours: bool
    documented: bool
    share_trained: float | None
    nothing_to_tune: bool = False


def facts_of(card: MethodCard) -> MethodFacts:
    """The facts about the method of an entry; also of one of another version, with other parameters."""
    stated = MethodFacts(card.track if card.track in TRACKS else "", False, False, card.share_trained)
    if card.name not in METHODS.names():
        return stated
    try:
        # Not validated: the facts depend on few parameters, which most versions have.
        method = method_class(card.name).model_construct(**card.parameters)
        bundled = METHODS.entries()[card.name].value.startswith("evenhand.")
        # A method of a third party that declares nothing may have parameters that are worth a search.
        settled = bundled and not method.space()
        return MethodFacts(method.track, method.info.ours, bundled, method.share_trained, settled)
    except (ValueError, TypeError, AttributeError, EvenhandError):
        return stated


def installed_version(name: str) -> str:
    """Version of the installed method of this name; empty if there is none."""
    return method_class(name).info.version if name in METHODS.names() else ""


def installed(card: MethodCard) -> Method | None:
    """The installed method with the parameters of the entry; ``None`` if there is none that accepts them."""
    if card.name not in METHODS.names():
        return None
    try:
        return method_class(card.name).model_validate(card.parameters)
    except (ValueError, EvenhandError):
        # The entry is of another version of the method, with other parameters.
        return None
