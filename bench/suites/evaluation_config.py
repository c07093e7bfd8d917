"""How images are judged and measured: the settings that a suite and an audit have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from evenhand.bench.suites.suite import Bootstrap, Spec, Suite
from evenhand.bench.suites.targets import UNIFORM, Table, target_shares


class EvaluationConfig(Spec):
    """The part of a suite without model, prompts and methods; see :class:`Suite`.

    Attributes:
        attributes: Attributes to groups, in order.
        target: The shares that deviations are measured from.
        report: Attribute sets to measure.
        primary: The attribute set of the primary metric.
        panel: Voting judges.
        non_voting_judges: Judges that are measured and shown but do not vote.
        calibration: Confusion counts of the judges; empty for none.
        scorer: Model for alignment and same-seed distance; empty for none.
        metrics: Registered metrics to measure besides those of every suite.
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
        """The evaluation settings of a suite."""
        shared = {
            name: getattr(suite, name) for name in EvaluationConfig.model_fields if name != "attributes"
        }
        return cls(attributes=suite.taxonomy, **shared)

    @property
    def taxonomy(self) -> dict[str, tuple[str, ...]]:
        """Attributes to groups, in order; the same as ``attributes``, as in :class:`Suite`."""
        return self.attributes

    def target_shares(self, concepts: Sequence[str], attributes: Sequence[str]) -> NDArray[np.float64]:
        """Target shares ``(concepts, K)`` of the joint cells of ``attributes``.

        Raises:
            EvenhandError: The target has shares of an attribute, but not for one of the concepts.
        """
        return target_shares(self.target, concepts=concepts, attributes=attributes, taxonomy=self.attributes)

    def targets(self, concepts: Sequence[str]) -> dict[str, dict[str, list[float]]]:
        """Target shares by attribute set and concept; empty for the uniform target."""
        if self.target == UNIFORM:
            return {}
        sets = dict.fromkeys([*((name,) for name in self.attributes), *self.report])
        return {
            "*".join(names): dict(zip(concepts, self.target_shares(concepts, names).tolist(), strict=True))
            for names in sets
        }
