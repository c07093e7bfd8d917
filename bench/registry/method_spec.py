"""Methods from text: ``NAME`` or ``NAME:parameter=value,…`` becomes a method with validated parameters.

Besides its parameters, a method accepts ``fit=2`` and so on: the same method, fitted with other seeds. From
Python, a method may also be an object or a class, which need not be registered.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from evenhand.bench.errors import EvenhandError, unknown
from evenhand.bench.registry import spec_text
from evenhand.bench.registry.entry_points import METHODS

if TYPE_CHECKING:
    from evenhand.bench.results.result import Search
    from evenhand.bench.suites.suite import Suite
    from evenhand.methods.base import Method

Local = Mapping[str, "type[Method]"]
"""Name to class of the methods of a run that are not registered."""

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


def parse_method(
    method: str | Method | type[Method], *, suite: Suite, local: Local | None = None
) -> MethodUse:
    """The method as it takes part in a run: the parameters of the suite, overridden by those given.

    Args:
        method: ``"mist"`` or ``"mist:step_size=0.3,rounds=5"``; values are TOML, a value that is not valid
            TOML is a string. ``"mist:fit=2"`` is the second fit. Or an object, of which only parameters that
            were set count, or a class.
        suite: Its ``[methods.NAME]`` table has the parameters of the method for this suite, and those that
            tuning has found override them.
        local: The result of :func:`local_methods`.

    Raises:
        EvenhandError: Unknown method or parameter, here or in the suite (the nearest is suggested), or
            invalid value.
    """
    own = local_methods([method]) if local is None else local
    known = [*METHODS.names(), *own]
    for table in suite.methods:
        if table not in known:
            raise unknown("method in the suite's [methods] table:", table, known)
    name, given = _named(method)
    number = _fit_number(given.pop(FIT, 1), name)
    cls = own[name] if name in own else method_class(name)
    parameters, search = _of_suite(suite, name, given)
    built = spec_text.build(cls, name, {**parameters, **given}, kind="method")
    # A given parameter that changes anything, searched or not, makes another method than the tuned one.
    if search and built != spec_text.build(cls, name, parameters, kind="method"):
        search = None
    return MethodUse(label=spec_text.label(name, given), method=built, search=search).nth_fit(number)


def _of_suite(suite: Suite, name: str, given: Mapping[str, Any]) -> tuple[dict[str, Any], Search | None]:
    """A method's parameters in a suite, and the search that has found them.

    A variant such as ``mist:scope=joint`` may have been tuned by itself. Of the searches whose fixed
    parameters are given, the one with the most counts.
    """
    fixed: Mapping[str, Any] = {}
    for key in suite.tuned:
        tuned, own = spec_text.split(key, kind="method")
        if tuned == name and len(own) > len(fixed) and all(given.get(k) == v for k, v in own.items()):
            fixed = own
    key = spec_text.label(name, fixed)
    return {**suite.methods.get(name, {}), **fixed, **suite.tuned.get(key, {})}, suite.searches.get(key)


def local_methods(methods: Sequence[str | Method | type[Method]]) -> dict[str, type[Method]]:
    """Name to class of the objects and classes among ``methods`` that are not registered.

    Raises:
        EvenhandError: Something is neither text nor a method, or a name is registered, or used, for another
            class.
    """
    found: dict[str, type[Method]] = {}
    for method in methods:
        if isinstance(method, str):
            continue
        cls = _checked_class(method if inspect.isclass(method) else type(method))
        name = cls.info.name
        known = method_class(name) if name in METHODS.names() else found.get(name, cls)
        if known is not cls:
            raise EvenhandError(
                f"method {name!r} is registered for a class other than {cls.__qualname__}; "
                "give this class another info.name"
            )
        if name not in METHODS.names():
            found[name] = cls
    return found


def _checked_class(cls: type) -> type[Method]:
    """The class, if it is one of a method that can be made.

    Raises:
        EvenhandError: It is not a subclass of Method, is abstract, or has no card.
    """
    from evenhand.methods.base import Method

    if not issubclass(cls, Method):
        raise EvenhandError(
            f"a method must be a name, or an object or class of evenhand.methods.base.Method, "
            f"got {cls.__name__}"
        )
    if inspect.isabstract(cls):
        raise EvenhandError(f"method class {cls.__qualname__} defines no fit(self, task); add it")
    if not hasattr(cls, "info"):
        raise EvenhandError(f"method class {cls.__qualname__} has no card; set info = MethodInfo(name=…)")
    return cls


def _fit_number(given: Any, name: str) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= MAX_FITS:
        raise EvenhandError(f"method {name!r}: fit must be a number from 1 to {MAX_FITS}, got {given!r:.40}")
    return given


def _named(method: str | Method | type[Method]) -> tuple[str, dict[str, Any]]:
    """The name of a method and the given parameters."""
    if isinstance(method, str):
        return spec_text.split(method, kind="method")
    given = {} if inspect.isclass(method) else method.model_dump(mode="json", exclude_unset=True)
    return method.info.name, given


def check_intervention(method: Method, fitted: object) -> None:
    """Check that a fit returned the declared class of intervention, which the stored fit is loaded as.

    Raises:
        EvenhandError: It is another class, for example because ``intervention_type`` was not set.
    """
    declared = method.intervention_type
    if type(fitted) is not declared:
        cls, found = type(method).__name__, type(fitted).__name__
        raise EvenhandError(
            f"method {method.info.name!r}: fit returned {found}, but intervention_type of {cls} is "
            f"{declared.__name__}; set intervention_type to the class that fit returns"
        )


def load_method(text: str) -> Method:
    """The method that ``text`` names, without the parameters of any suite.

    >>> load_method("base").info.name
    'base'

    Raises:
        EvenhandError: As :func:`parse_method`.
    """
    name, given = spec_text.split(text, kind="method")
    return spec_text.build(method_class(name), name, given, kind="method")


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
