"""The edit that UCE (version 1) introduced and MIST restricted to one token.

For every source text ``i`` with rows ``C_i`` and guidance rows ``G_ij``, and every projection ``W``:

    alpha_ij = step_size (target_j - ratio_ij), all zero if max_j |target_j - ratio_ij| <= tolerance
    V_i      = C_i W^T shifted along G_i1 W^T, .., G_iK W^T by alpha_i1, .., alpha_iK    (closed_form.shift)
    W       <- closed form with targets V_i for the rows C_i, all sources at once

``W`` is always the current projection, so edits accumulate over rounds while the alphas do not. A source
whose first alpha is exactly zero joins the preserved texts before the edit of the same round, permanently and
with all its rows. It also stays in the sum of edits, where zero alphas ask for its current output with weight
one. This happens when a source has converged, and also when its first ratio happens to equal its target.

Source: the released code of UCE (rohitgandikota/unified-concept-editing, July 2023 to April 2025) and MIST.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from evenhand.methods.base import EditableModel
from evenhand.methods.shared.closed_form import ClosedForm, shift
from evenhand.methods.shared.ratio_loop import RatioLoop, encode
from evenhand.methods.shared.source_history import Shares


class DirectionalEdit:
    """The running edit: current projections, preserved texts and their factored closed form.

    Args:
        method: Provides ``step_size``, ``lam``, ``mu`` and ``tolerance``.
        model: Encodes the preserved texts.
        weights: Projections to start from, float64.
        texts: Source texts, in the form in which they join the preserved texts.
        rows: Edited rows ``C_i`` of every source, ``(length_i, d)``.
        guidance: Guidance rows ``G_i`` of every source, ``(K, length_i, d)``.
        preserve: Texts preserved from the start, with all their rows.
        kept: Further states that are preserved, ``(n, d)``.
    """

    def __init__(
        self,
        method: RatioLoop,
        model: EditableModel,
        weights: dict[str, Tensor],
        *,
        texts: Sequence[str],
        rows: Sequence[Tensor],
        guidance: Sequence[Tensor],
        preserve: Iterable[str],
        kept: Tensor | None = None,
    ) -> None:
        self.weights = weights
        self._kept = [] if kept is None else [kept]
        self.preserved = frozenset(preserve)
        self._method, self._model, self._texts = method, model, texts
        self._lengths = [len(block) for block in rows]
        self._rows = torch.cat(list(rows))
        self._guidance = torch.cat([block.flatten(0, 1) for block in guidance])
        self.form = self._factor()

    def edit(self, difference: Shares) -> None:
        """One round: ``difference`` is ``target - ratio``, ``(sources, K)``."""
        gaps = np.abs(difference).max(axis=1, keepdims=True)
        alphas = self._method.step_size * np.where(gaps <= self._method.tolerance, 0.0, difference)
        self._retain(alphas)
        self.weights = {
            name: self.form.solve(weight, self._targets(weight, torch.from_numpy(alphas)))
            for name, weight in self.weights.items()
        }

    def _targets(self, weight: Tensor, alphas: Tensor) -> Tensor:
        """Target outputs of every edited row, ``(rows, m)``."""
        cells = alphas.shape[1]
        outputs = torch.split(self._rows @ weight.T, self._lengths)
        towards = torch.split(self._guidance @ weight.T, [cells * length for length in self._lengths])
        moves = zip(outputs, towards, alphas, strict=True)
        return torch.cat([shift(v, g.reshape(cells, *v.shape), alpha) for v, g, alpha in moves])

    def _retain(self, alphas: Shares) -> None:
        """Add the sources whose first alpha is zero to the preserved texts."""
        joining = {text for text, row in zip(self._texts, alphas, strict=True) if row[0] == 0}
        if not joining <= self.preserved:
            self.preserved |= joining
            self.form = self._factor()

    def _factor(self) -> ClosedForm:
        texts = sorted(self.preserved)
        states = [*([encode(self._model, texts).states.flatten(0, 1)] if texts else []), *self._kept]
        if not states:
            return ClosedForm.factor(self._rows, lam=self._method.lam)
        return ClosedForm.factor(
            self._rows, lam=self._method.lam, preserved=torch.cat(states), mu=self._method.mu
        )
