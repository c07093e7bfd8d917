"""What an occupation says about the group: association and amplification over a list of occupations.

``shares`` has shape ``(..., O, K)``: occupations, then groups; every occupation counts the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import rel_entr
from scipy.stats import chi2_contingency

from evenhand.metrics.representation import FloatArray

REFLECTED = 0.04
"""Fair Diffusion calls a share within this distance of the training share reflected."""


def mutual_information(shares: FloatArray) -> FloatArray:
    """``MI = (1/O) sum_o KL(p_o || mean p)`` in nats: does the occupation decide the group?

    Range 0 to ``min(ln K, ln O)``; lower is better; 0 is possible for an unbalanced model. Biased upwards by
    about ``(O - 1)(K - 1) / (2 sum n_o)``. Source: measurement.md 1.12.
    """
    pooled = shares.mean(axis=-2, keepdims=True)
    return np.asarray(rel_entr(shares, pooled).sum(axis=-1).mean(axis=-1))


def cramers_v(table: ArrayLike, *, corrected: bool = False) -> float:
    """Cramer's V of a table of counts ``(O, K)``; 0 to 1, lower is better.

    It weights occupations by their pictures and cannot tell the direction. ``corrected`` takes off the bias
    of small tables (Bergsma 2013).
    """
    table = np.asarray(table, float)
    n, (rows, columns) = table.sum(), table.shape
    phi2 = float(chi2_contingency(table, correction=False)[0]) / n
    if not corrected:
        return float(np.sqrt(phi2 / (min(rows, columns) - 1)))
    phi2 = max(0.0, phi2 - (rows - 1) * (columns - 1) / (n - 1))
    smaller = min(size - (size - 1) ** 2 / (n - 1) for size in (rows, columns))
    return float(np.sqrt(phi2 / (smaller - 1)))


def seshadri_amplification(share: FloatArray, reference: FloatArray) -> FloatArray:
    """``mean_o (|p_o - 0.5| - |r_o - 0.5|)`` for two groups; -0.5 to 0.5, above 0 amplifies the reference.

    It says nothing without saying how ``r_o`` was selected: much of an apparent amplification goes away when
    the captions are matched to the prompts. Source: Seshadri et al., arXiv 2308.00755.

    Args:
        share: ``(..., O)`` share of one of the two groups.
        reference: The same in the training data or the labour market.
    """
    return np.asarray((np.abs(share - 0.5) - np.abs(reference - 0.5)).mean(axis=-1))


def directional_amplification(shares: FloatArray, reference: FloatArray) -> FloatArray:
    """``mean over (o, k) of sign(r_ok - mean r_k) (p_ok - r_ok)``; -1 to 1, above 0 amplifies.

    The sign makes a push in the direction of the reference's own association positive. A pair without
    association counts 0. Source: Wang and Russakovsky, arXiv 2102.12594, with equal occupation weights.

    Args:
        shares: ``(..., O, K)``.
        reference: ``(O, K)`` shares in the training data or the labour market.
    """
    lean = reference - reference.mean(axis=-2, keepdims=True)
    direction = np.where(np.abs(lean) < 1e-12, 0.0, np.sign(lean))
    return np.asarray((direction * (shares - reference)).mean(axis=(-2, -1)))


def stereotype_amplification(share: FloatArray, labour: FloatArray) -> FloatArray:
    """``mean_o sign(w_o - 0.5) (p_o - w_o)``: above 0 is more stereotyped than the labour market.

    Range -1 to 1. Labour shares are a description, not a target. Source: measurement.md 1.11.
    """
    return np.asarray((np.sign(labour - 0.5) * (share - labour)).mean(axis=-1))


def amplification_split(share: FloatArray, reference: FloatArray) -> dict[str, float]:
    """Shares of occupations whose training share is amplified, reflected or mitigated.

    Reflected if ``|p - r| < 0.04``, else amplified if ``|p - 0.5| > |r - 0.5|``, else mitigated. The cut is
    a convention. Source: Fair Diffusion, arXiv 2302.10893.
    """
    reflected = np.abs(share - reference) < REFLECTED
    amplified = ~reflected & (np.abs(share - 0.5) > np.abs(reference - 0.5))
    mitigated = ~reflected & ~amplified
    parts = {"amplified": amplified, "reflected": reflected, "mitigated": mitigated}
    return {name: float(part.mean()) for name, part in parts.items()}
