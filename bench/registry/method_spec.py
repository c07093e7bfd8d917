"""Methods from text: ``NAME`` or ``NAME:parameter=value,…`` becomes a method with validated parameters.

Besides its parameters, a method accepts ``fit=2`` and so on: the same method, fitted with other seeds.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from evenhand.bench.errors import EvenhandError, unknown
from evenhand.bench.registry import spec_text
from evenhand.bench.registry.entry_points import METHODS

if TYPE_CHECKING:
    from evenhand.bench.results.result import Search
    from evenhand.bench.suites.suite import Suite
    from evenhand.methods.base import Method

FIT = "fit"
"""Gives the number of a fit; no method has a parameter of this name, because it is that of its verb."""

MAX_FITS = 99
"""Maximum number of fits of a method."""


@dataclass(frozen=True)
class MethodUse:
    """A method as it takes part in a run.

    Attributes:
        label: Name of its row: the name of the method and the given parameters, sorted.
        method: The method with all parameters.
        fit: Number of the fit.
        fit_of: Label of the first fit; empty if this is it.
        search: The search that has chosen the parameters, if they were tuned.
    """

    label: str
    method: Method
    fit: int = 1
    fit_of: str = ""
    search: Search | None = None

    @property
    def name(self) -> str:
        """The method's name."""
        return self.method.info.name

    @property
    def version(self) -> str:
        """The method's version."""
        return self.method.info.version

    @property
    def parameters(self) -> dict[str, Any]:
        """All parameters, with defaults."""
        return self.method.model_dump(mode="json")

    @property
    def strength(self) -> str | None:
        """The parameter that leaves the model unchanged when it is zero, if there is one."""
        return self.method.strength

    def nth_fit(self, number: int) -> MethodUse:
        """The same method with the seeds of another fit."""
        first = self.fit_of or self.label
        if number == 1:
            return replace(self, label=first, fit=1, fit_of="")
        name, given = spec_text.split(first, kind="method")
        return replace(self, label=spec_text.label(name, {**given, FIT: number}), fit=number, fit_of=first)


def parse_method(method: str | Method, *, suite: Suite) -> MethodUse:
    """The method as it takes part in a run: the parameters of the suite, overridden by those given.

    Args:
        method: ``"mist"`` or ``"mist:step_size=0.3,rounds=5"``; values are TOML, a value that is not valid
            TOML is a string. ``"mist:fit=2"`` is the second fit. Or an instance of a registered method; only
            parameters that were set count.
        suite: Its ``[methods.NAME]`` table has the parameters of the method for this suite, and those that
            tuning has found override them.

    Raises:
        EvenhandError: Unknown method or parameter, here or in the suite (the nearest is suggested), or
            invalid value.
    """
    known = METHODS.names()
    for table in suite.methods:
        if table not in known:
            raise unknown("method in the suite's [methods] table:", table, known)
    name, given = _named(method)
    number, tuned = _fit_number(given.pop(FIT, 1), name), suite.tuned.get(name, {})
    built = _build(name, {**suite.methods.get(name, {}), **tuned, **given})
    kept = all(given.get(parameter, value) == value for parameter, value in tuned.items())
    search = suite.searches.get(name) if kept else None
    return MethodUse(label=spec_text.label(name, given), method=built, search=search).nth_fit(number)


def _fit_number(given: Any, name: str) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= MAX_FITS:
        raise EvenhandError(f"method {name!r}: fit must be a number from 1 to {MAX_FITS}, got {given!r:.40}")
    return given


def _named(method: str | Method) -> tuple[str, dict[str, Any]]:
    """The name of a method and the given parameters."""
    if isinstance(method, str):
        return spec_text.split(method, kind="method")
    name = method.info.name
    if type(method) is not method_class(name):
        raise EvenhandError(
            f"method {name!r} is registered for a class other than {type(method).__qualname__}; "
            "register this class under another name"
        )
    return name, method.model_dump(mode="json", exclude_unset=True)


def load_method(text: str) -> Method:
    """The method that ``text`` names, without the parameters of any suite.

    >>> load_method("base").info.name
    'base'

    Raises:
        EvenhandError: As :func:`parse_method`.
    """
    return _build(*spec_text.split(text, kind="method"))


def method_class(name: str) -> type[Method]:
    """The class registered as method ``name``.

    Raises:
        EvenhandError: The name is unknown, its package fails to load, or it is not a method.
    """
    from evenhand.methods.base import Method

    found = METHODS.get(name)
    if not (inspect.isclass(found) and issubclass(found, Method)):
        raise EvenhandError(
            f"method {name!r} is registered as {METHODS.entries()[name].value}, which must be a subclass "
            "of evenhand.methods.base.Method; fix the entry point of its package"
        )
    return found


def _build(name: str, parameters: Mapping[str, Any]) -> Method:
    return spec_text.build(method_class(name), name, parameters, kind="method")
