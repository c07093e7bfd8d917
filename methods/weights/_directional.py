"""The edit that UCE (version 1) introduced and MIST narrowed to one token.

For every source text ``i`` with rows ``C_i`` and guidance rows ``G_ij``, and every projection ``W``:

    alpha_ij = step_size (target_j - ratio_ij), all zero where max_j |target_j - ratio_ij| <= tolerance
    V_i      = C_i W^T pushed along G_i1 W^T, .., G_iK W^T by alpha_i1, .., alpha_iK     (closed_form.push)
    W       <- closed form with targets V_i for the rows C_i, all sources at once

``W`` is always the current projection, so edits add up over rounds while the alphas do not. A source whose
first alpha is exactly zero joins the preserved texts before the edit of the same round, for good, with all
its rows; it stays in the sum of edits as well, where zero alphas ask for its own current output with weight
one. The rule fires when a source has converged, and also when its first ratio happens to equal its target.
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
        method: Gives ``step_size``, ``lam``, ``mu`` and ``tolerance``.
        model: Encodes the preserved texts.
        weights: Projections to start from, float64.
        texts: Source texts, as they would join the preserved texts.
        rows: Edited rows ``C_i`` of every source, ``(length_i, d)``.
        guidance: Guidance rows ``G_i`` of every source, ``(K, length_i, d)``.
        preserve: Texts preserved from the start.
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
    ) -> None:
        self.weights = weights
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
        """The outputs wanted for every edited row, ``(rows, m)``."""
        cells = alphas.shape[1]
        outputs = torch.split(self._rows @ weight.T, self._lengths)
        towards = torch.split(self._guidance @ weight.T, [cells * length for length in self._lengths])
        moves = zip(outputs, towards, alphas, strict=True)
        return torch.cat([shift(v, g.reshape(cells, *v.shape), alpha) for v, g, alpha in moves])

    def _retain(self, alphas: Shares) -> None:
        """Let the sources whose first alpha is zero join the preserved texts."""
        joining = {text for text, row in zip(self._texts, alphas, strict=True) if row[0] == 0}
        if not joining <= self.preserved:
            self.preserved |= joining
            self.form = self._factor()

    def _factor(self) -> ClosedForm:
        if not self.preserved:
            return ClosedForm.factor(self._rows, lam=self._method.lam)
        states = encode(self._model, sorted(self.preserved)).states.flatten(0, 1)
        return ClosedForm.factor(self._rows, lam=self._method.lam, preserved=states, mu=self._method.mu)
