"""How images are judged and measured, whatever made them: what a suite and an audit have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from evenhand.bench.suites.suite import Bootstrap, Spec, Suite
from evenhand.bench.suites.targets import UNIFORM, Table, target_shares


class EvaluationConfig(Spec):
    """The part of a suite that knows no model, prompt or method; fields as in :class:`Suite`.

    Attributes:
        attributes: Attribute to its groups, in order.
        target: The shares that deviations are measured from.
        report: Attribute sets that are measured.
        primary: The attribute set of the headline.
        panel: Judges that vote.
        non_voting_judges: Judges that are measured and shown but have no vote.
        calibration: Confusion counts of the judges; empty for none.
        scorer: Model for alignment and same-seed distance; empty for none.
        metrics: Registered metrics that are measured besides those of every suite.
        bootstrap: Settings of the bootstrap.
    """

    attributes: dict[str, tuple[str, ...]]
    target: str | Table = UNIFORM
    report: tuple[tuple[str, ...], ...]
    primary: tuple[str, ...]
    panel: tuple[str, ...]
    non_voting_judges: tuple[str, ...] = ()
    calibration: str = ""
    scorer: str = ""
    metrics: tuple[str, ...] = ()
    bootstrap: Bootstrap = Bootstrap()

    @classmethod
    def of(cls, suite: Suite) -> Self:
        """The evaluation_config of a suite."""
        shared = {
            name: getattr(suite, name) for name in EvaluationConfig.model_fields if name != "attributes"
        }
        return cls(attributes=suite.taxonomy, **shared)

    @property
    def taxonomy(self) -> dict[str, tuple[str, ...]]:
        """Every attribute with its groups, in order, as a suite has it."""
        return self.attributes

    def target_shares(self, concepts: Sequence[str], attributes: Sequence[str]) -> NDArray[np.float64]:
        """Desired shares ``(concepts, K)`` of the joint cells of ``attributes``.

        Raises:
            EvenhandError: The target names an attribute but not a concept.
        """
        return target_shares(self.target, concepts=concepts, attributes=attributes, taxonomy=self.attributes)

    def targets(self, concepts: Sequence[str]) -> dict[str, dict[str, list[float]]]:
        """Desired shares of every attribute set and concept; nothing where they are even."""
        if self.target == UNIFORM:
            return {}
        sets = dict.fromkeys([*((name,) for name in self.attributes), *self.report])
        return {
            "*".join(names): dict(zip(concepts, self.target_shares(concepts, names).tolist(), strict=True))
            for names in sets
        }
