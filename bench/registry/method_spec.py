"""Methods from text: ``NAME`` or ``NAME:parameter=value,…`` becomes a method with validated parameters."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evenhand.bench.errors import EvenhandError, unknown
from evenhand.bench.registry import spec_text
from evenhand.bench.registry.entry_points import METHODS

if TYPE_CHECKING:
    from evenhand.bench.suites.suite import Suite
    from evenhand.methods.base import Method


@dataclass(frozen=True)
class MethodUse:
    """A method as it takes part in a run.

    Attributes:
        label: Name of its row: the name of the method and the given parameters, sorted.
        method: The method with all parameters.
    """

    label: str
    method: Method

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


def parse_method(method: str | Method, *, suite: Suite) -> MethodUse:
    """The method as it takes part in a run: the parameters of the suite, overridden by those given.

    Args:
        method: ``"mist"`` or ``"mist:step_size=0.3,rounds=5"``; values are TOML, a value that is not valid
            TOML is a string. Or an instance of a registered method; only parameters that were set count.
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
    built = _build(name, {**suite.methods.get(name, {}), **suite.tuned.get(name, {}), **given})
    return MethodUse(label=spec_text.label(name, given), method=built)


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
