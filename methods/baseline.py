"""``base``: the model as it is, which every other method is compared with."""

from __future__ import annotations

from typing import ClassVar

from evenhand.methods.base import Intervention, Method, MethodInfo, Task


class Base(Method):
    """Does nothing."""

    info: ClassVar[MethodInfo] = MethodInfo(
        name="base",
        version="1.0",
        title="Baseline",
        summary="The model as it is.",
        licence="Apache-2.0",
        origin="none",
        family="none",
        architectures=("any",),
        attributes="none",
    )

    def fit(self, task: Task) -> Intervention:
        """The intervention that changes nothing."""
        return Intervention()
