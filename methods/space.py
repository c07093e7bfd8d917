"""The search space of a method's parameters, declared in :meth:`evenhand.methods.base.Method.space`.

``evenhand tune`` searches it. A space covers the released values and the range in which a parameter can be
expected to work; it does not depend on any result of the scored concepts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Range:
    """An interval of numbers.

    Attributes:
        low: Lower end, included.
        high: Upper end, included.
        log: Whether values are uniform on the logarithmic scale, as rates and strengths are.
        integer: Whether values are integers.
    """

    low: float
    high: float
    log: bool = False
    integer: bool = False

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"range must have low < high, and low > 0 if logarithmic, got {self!r}")

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Choice:
    """A few alternatives, in order.

    Attributes:
        values: JSON values, at least two.
    """

    values: tuple[Any, ...]

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def __post_init__(self) -> None:
        if len(self.values) < 2:
            raise ValueError(f"choice must have at least two values, got {self.values}")

    def __str__(self) -> str:
        return " or ".join(map(repr, self.values))


Space = Mapping[str, Range | Choice]
"""Parameter to its possible values; empty for a method with nothing to tune."""
