"""Whether a prompt that asks for a group still gets it (measurement.md 1.18).

``counts`` has shape ``(..., K, K + 1)``: the group asked for, then the label, the last undetermined. The
registered metric ``explicit_fidelity`` gives the worst group with intervals and the judge's correction.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from evenhand.metrics.representation import FloatArray, mean_over, ratio


def fidelity(counts: ArrayLike, *, decided_only: bool = False) -> FloatArray:
    """``F_g``, share of the images asked to show ``g`` that are labelled so; 0 to 1, higher is better.

    Undetermined images are failures unless ``decided_only``: show both, since a method may not win by
    faceless images. It cannot tell whether anything but the group is right. ``nan`` where none was asked.

    Returns:
        ``(..., K)``.
    """
    counts = np.asarray(counts, float)
    whole = counts[..., :-1] if decided_only else counts
    return ratio(np.diagonal(counts, axis1=-2, axis2=-1), whole.sum(axis=-1))


def override_index(counts: ArrayLike, base_shares: FloatArray) -> float:
    """Share of images that ask for the base's majority group and show another one, mean over occupations.

    0 to 1, lower is better. Methods that act on the word of the occupation turn "a male carpenter" into a
    woman as readily as "a carpenter". Undetermined images are left out; a baseline errs too, so
    compare with the base's own index.

    Args:
        counts: ``(O, K, K + 1)``.
        base_shares: ``(O, K)`` of the base on neutral prompts; its largest share is the majority.
    """
    flipped = 1 - fidelity(counts, decided_only=True)
    asked = ~np.isnan(base_shares).any(axis=-1)
    majority = np.where(asked, np.nan_to_num(base_shares).argmax(axis=-1), 0)
    values = np.take_along_axis(flipped, majority[:, None], axis=-1)[:, 0]
    return float(mean_over(np.where(asked, values, np.nan)))
