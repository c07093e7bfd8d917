"""Methods by text: ``NAME`` or ``NAME:parameter=value,…`` becomes a method with checked parameters."""

from __future__ import annotations

import inspect
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from evenhand.bench.errors import EvenhandError, unknown
from evenhand.bench.registry import METHODS

if TYPE_CHECKING:
    from evenhand.bench.suite import Suite
    from evenhand.methods.base import Method

# A comma inside brackets or quotes belongs to the value.
_PART = re.compile(r"""(?:\[[^\]]*\]|"[^"]*"|'[^']*'|[^,])+""")


@dataclass(frozen=True)
class MethodUse:
    """A method as it takes part in a run.

    Attributes:
        label: Name of its row: the method's name and, sorted, the parameters given.
        method: The method with every parameter resolved.
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
        """Every parameter resolved."""
        return self.method.model_dump(mode="json")

    @property
    def strength(self) -> str | None:
        """The parameter that leaves the model as it is when it is zero."""
        return self.method.strength


def parse_method(text: str, *, suite: Suite) -> MethodUse:
    """The method that ``text`` names, with the suite's parameters overridden by those given.

    Args:
        text: ``"mist"`` or ``"mist:step=0.3,rounds=5"``. Values are TOML values; what is not TOML is
            taken as a string.
        suite: Its ``[methods.NAME]`` table gives the method's parameters on this suite.

    Raises:
        EvenhandError: Unknown method or parameter, here or in the suite (the nearest is suggested), or a
            wrong value.
    """
    known = METHODS.names()
    for table in suite.methods:
        if table not in known:
            raise unknown("method in the suite's [methods] table:", table, known)
    name, given = _split(text)
    return MethodUse(label=_label(name, given), method=_build(name, {**suite.methods.get(name, {}), **given}))


def load_method(text: str) -> Method:
    """The method that ``text`` names (as on the command line), without any suite's parameters.

    >>> load_method("base").info.name
    'base'

    Raises:
        EvenhandError: As :func:`parse_method`.
    """
    return _build(*_split(text))


def method_class(name: str) -> type[Method]:
    """The class registered as method ``name``.

    Raises:
        EvenhandError: The name is unknown, its package fails to load, or it is not a method.
    """
    from evenhand.methods.base import Method

    found = METHODS.get(name)
    if not (inspect.isclass(found) and issubclass(found, Method)):
        raise EvenhandError(
            f"method {name!r} is registered as {METHODS.entries()[name].value}, which is not a class derived "
            "from evenhand.methods.base.Method; mend the package's entry point"
        )
    return found


def _split(text: str) -> tuple[str, dict[str, Any]]:
    name, _, rest = text.strip().partition(":")
    given: dict[str, Any] = {}
    for part in _PART.findall(rest):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not (key and equals and value):
            raise EvenhandError(f"method {text!r}: {part.strip()!r} is not of the form parameter=value")
        if key in given:
            raise EvenhandError(f"method {text!r} gives parameter {key!r} twice; give it once")
        given[key] = _value(value)
    return name.strip(), given


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _label(name: str, given: Mapping[str, Any]) -> str:
    pairs = (f"{key}={_text(value)}" for key, value in sorted(given.items()))
    return f"{name}:{','.join(pairs)}" if given else name


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), default=str)


def _build(name: str, parameters: Mapping[str, Any]) -> Method:
    cls = method_class(name)
    try:
        return cls(**parameters)
    except ValidationError as fault:
        error = fault.errors()[0]
        key = ".".join(str(part) for part in error["loc"])
        if error["type"] == "extra_forbidden":
            raise unknown(f"parameter of method {name!r}:", key, cls.model_fields) from fault
        given = "" if error["type"] == "missing" else f"={error['input']!r}"
        raise EvenhandError(f"method {name!r}: {key}{given}: {error['msg']}") from fault
