"""The regularized least squares behind UCE, TIME and MIST.

Every edit of a projection ``W`` (``m x d``) minimizes, over ``W'``,

    sum_i s_i ||W' c_i - v_i||^2  +  mu sum_p ||W' p - W p||^2  +  lam ||W' - W||_F^2

where the rows ``c_i`` are the edited text states, ``v_i`` their target outputs, and the rows ``p`` the text
states whose outputs are preserved. With

    M = lam I + sum_i s_i c_i c_i^T + mu sum_p p p^T,        q_i = M^-1 c_i,

the solution is ``W' = W + sum_i s_i (v_i - W c_i) q_i^T``. ``M`` does not depend on ``W``, so one Cholesky
factorization serves every projection of the model. The update form is also more accurate than ``A M^-1``,
which loses precision when ``M`` is ill-conditioned. Everything is computed in float64 on the CPU.

The output of any other state ``x`` changes by ``sum_i s_i (v_i - W c_i) (q_i . x)``. The scalar ``q . x``
thus measures edit leakage, the effect of the edit on other prompts; :func:`leakage` computes it without
images.

Source: the objective of UCE (arXiv 2308.14761, section 4) and TIME (arXiv 2303.08084, section 4).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ClosedForm:
    """The factored problem, ready to be solved for any number of projections.

    Attributes:
        rows: Edited states ``C``, ``(r, d)``.
        directions: ``Q``, ``(r, d)``: row ``i`` is ``s_i M^-1 c_i``.
    """

    rows: Tensor
    directions: Tensor

    @classmethod
    def factor(
        cls,
        rows: Tensor,
        *,
        lam: float,
        preserved: Tensor | None = None,
        mu: float = 0.0,
        scale: Tensor | None = None,
    ) -> ClosedForm:
        """Factor ``M`` and solve it for every edited row.

        Args:
            rows: Edited states ``C``, ``(r, d)``.
            lam: Weight of staying near the old projection, above zero.
            preserved: States ``(p, d)`` whose outputs are preserved; they only enter ``M``.
            mu: Weight of each preserved state.
            scale: Weight ``s_i`` of each edited row, ``(r,)``; 1 by default.
        """
        scaled = rows if scale is None else rows * scale[:, None]
        matrix = lam * torch.eye(rows.shape[1], dtype=rows.dtype, device=rows.device) + rows.T @ scaled
        if preserved is not None:
            matrix += mu * preserved.T @ preserved
        factor = torch.linalg.cholesky(matrix)
        return cls(rows=rows, directions=torch.cholesky_solve(scaled.T, factor).T)

    def solve(self, weight: Tensor, targets: Tensor) -> Tensor:
        """The edited projection ``W'`` ``(m, d)`` for the ``targets`` ``(r, m)`` of the edited rows."""
        return weight + (targets - self.rows @ weight.T).T @ self.directions


def shift(outputs: Tensor, towards: Tensor, alphas: Tensor) -> Tensor:
    """Outputs shifted along several directions in turn, by steps relative to their running norm.

    ``V_j = V_(j-1) + alpha_j ||V_(j-1)||_F G_j / ||G_j||_F``. The released code of UCE and MIST adds the
    directions in place, so their order matters at second order in ``alpha``.

    Args:
        outputs: ``V_0``, ``(length, m)``.
        towards: ``G_1 .. G_K``, ``(K, length, m)``.
        alphas: Steps ``(K,)``.

    Returns:
        ``V_K``, ``(length, m)``.
    """
    for direction, alpha in zip(towards, alphas, strict=True):
        outputs = outputs + alpha * torch.linalg.norm(outputs) * direction / torch.linalg.norm(direction)
    return outputs


def leakage(directions: Tensor, states: Tensor) -> Tensor:
    """Edit leakage into other text states, ``|q_i . x|``.

    Args:
        directions: ``Q`` of a :class:`ClosedForm`, ``(r, d)``.
        states: Text states ``x`` of other prompts, ``(n, d)``.

    Returns:
        ``(n, r)``, non-negative; for an edited row itself almost 1 if ``lam`` is small.
    """
    return (states @ directions.T).abs()
