"""``base``: the unchanged model, with which every method is compared."""

from __future__ import annotations

from typing import ClassVar

from evenhand.methods.base import Intervention, Method, MethodInfo, Task


class Base(Method):
    """Changes nothing."""

    info: ClassVar[MethodInfo] = MethodInfo(
        name="base",
        version="1.0",
        title="Baseline",
        summary="The model without any method.",
        licence="Apache-2.0",
        origin="none",
        family="none",
        architectures=("any",),
        attributes="none",
    )

    def fit(self, task: Task) -> Intervention:
        """An intervention that changes nothing."""
        return Intervention()
