"""Target shares for an audit of labels, as a measurement takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, Literal

import numpy as np

from evenhand.bench.errors import EvenhandError, unknown
from evenhand.metrics.estimation.views import Target
from evenhand.metrics.label_audit.tables import Taxonomy
from evenhand.metrics.representation import FloatArray, uniform

UNIFORM: Literal["uniform"] = "uniform"

Shares = Mapping[str, float]
"""Group to its share."""

Wish = Literal["uniform"] | Mapping[str, Shares | Mapping[str, Shares]]
"""``"uniform"``, or attribute to the shares of its groups, for all concepts or for every concept."""


def target_of(
    wish: Wish, *, taxonomy: Taxonomy, sets: Sequence[tuple[str, ...]], concepts: Sequence[str]
) -> Target:
    """The target shares of every attribute set.

    Attributes are independent: the share of a joint cell is the product of those of its groups.

    Args:
        wish: The target as the user states it; attributes that it does not name have even shares.
        taxonomy: Attribute to groups.
        sets: The attributes and joint attributes that are measured.
        concepts: The concepts of the neutral prompts.

    Raises:
        EvenhandError: An attribute, group or concept is unknown or missing, or shares do not sum to 1.
    """
    if isinstance(wish, str):
        if wish != UNIFORM:
            raise EvenhandError(f"target must be {UNIFORM!r} or attribute to shares of groups, got {wish!r}")
        return {}
    for name in wish:
        if name not in taxonomy:
            raise unknown("attribute of the target", name, taxonomy)
    return {
        "*".join(names): {
            concept: list(reduce(np.multiply.outer, parts).reshape(-1))
            for concept in concepts
            for parts in [[_shares(wish.get(name), name, concept, taxonomy[name]) for name in names]]
        }
        for names in sets
        if any(name in wish for name in names)
    }


def _shares(
    given: Shares | Mapping[str, Shares] | None, attribute: str, concept: str, groups: Sequence[str]
) -> FloatArray:
    """Target shares of the groups of one attribute for one concept, ``(K,)``."""
    if given is None:
        return uniform(len(groups))
    shares: Mapping[str, Any] = given
    if any(isinstance(value, Mapping) for value in shares.values()):
        if concept not in shares:
            raise unknown(f"concept in the target of {attribute}:", concept, shares)
        shares = shares[concept]
    if set(shares) != set(groups):
        raise EvenhandError(
            f"the target of {attribute!r} must have a share for each of {', '.join(groups)}, "
            f"got {', '.join(map(str, shares)) or 'none'}"
        )
    found = np.array([shares[group] for group in groups], float)
    if not np.isclose(found.sum(), 1) or (found < 0).any():
        raise EvenhandError(f"the target of {attribute!r} must be shares that sum to 1, got {dict(shares)}")
    return found
