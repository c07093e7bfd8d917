"""Adding a drawn cell's vector to ``h``, the output of the U-Net's mid block.

Several methods learn one vector per group and add those of a cell's groups: with ``v_g`` of the shape of
``h``, ``(c, height, width)``, and weights ``w_g`` of the attributes,

    h <- h + sum_(g in cell) w_g v_g        conditional half of guidance, every step

They differ in the training of the vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from evenhand.methods.base import Cell, EditableModel, Intervention, Task
from evenhand.methods.hooks import Batch, Site, Steering, Step
from evenhand.methods.shared.cells import single_groups
from evenhand.methods.shared.randomness import drawn_cell

SITE = "mid_block"

Lessons = Literal["groups", "cells"]
"""What vectors are trained on: every group alone, or whole cells, whose groups' vectors add up."""


@dataclass(frozen=True, eq=False)
class MidBlockIntervention(Intervention):
    """Adds the vector of a drawn cell; ``tensors["vectors"]`` is ``(cells, c, height, width)``."""

    def sites(self) -> Sequence[str]:
        """The mid block."""
        return (SITE,)

    def steer(self, batch: Batch) -> Steering:
        """Draws the cell of every image whose prompt mentions a concept."""
        pairs = zip(batch.texts, batch.draws, strict=True)
        drawn = [drawn_cell(text, draw, self.data["target"]) for text, draw in pairs]
        vectors = self.tensors["vectors"]
        zero = torch.zeros_like(vectors[0])
        return _Added(torch.stack([zero if cell is None else vectors[cell[1]] for cell in drawn]))


@dataclass
class _Added(Steering):
    rows: Tensor

    def feature(self, step: Step, site: Site, output: Tensor) -> Tensor:
        """``h`` with the images' vectors added to the conditional half."""
        n = len(self.rows)
        changed = output.clone()
        changed[n : 2 * n] += self.rows.to(output.device, output.dtype)
        return changed


def added(model: EditableModel, rows: Tensor) -> AbstractContextManager[None]:
    """Within the context rows ``(n, c, height, width)`` are added to the ``n`` outputs of the mid block."""
    return model.features([SITE], lambda site, h: h + rows.to(h.device, h.dtype))


@torch.no_grad()
def shape_of_h(model: EditableModel, latents: Tensor) -> tuple[int, int, int]:
    """Channels, height and width of ``h`` for latents of this size; costs one pass of the U-Net."""
    seen = []

    def look(site: Site, h: Tensor) -> Tensor:
        seen.append(h)
        return h

    start = torch.zeros(1, dtype=torch.long, device=latents.device)
    with model.features([SITE], look):
        model.predict(latents[:1], start, model.encode([""]))
    _, channels, height, width = seen[0].shape
    return channels, height, width


def training_cells(cells: Sequence[Cell], kind: Lessons) -> list[Cell]:
    """The cells to train on: the cells themselves, or one cell for every group alone, attribute by attribute.

    With a single attribute both are the same.
    """
    if kind == "cells" or len(cells[0].groups) == 1:
        return list(cells)
    return single_groups(cells)


def codes(of: Sequence[Cell], cells: Sequence[Cell]) -> Tensor:
    """Multi-hot codes of the groups of the cells ``of``, ``(of, groups)``.

    Groups are in the order of :func:`~evenhand.methods.shared.cells.single_groups` of ``cells``.
    """
    groups = [pair for single in single_groups(cells) for pair in single.groups.items()]
    return torch.tensor([[float(pair in cell.groups.items()) for pair in groups] for cell in of])


def for_cells(
    task: Task,
    v: Tensor,
    *,
    scale: float,
    scales: Mapping[str, float] | None = None,
    record: Mapping[str, Any],
) -> MidBlockIntervention:
    """The intervention that adds the vectors of a drawn cell's groups.

    Args:
        task: Its cells and target.
        v: One vector per group, ``(groups, c, height, width)``.
        scale: Factor of all vectors.
        scales: Further factor by attribute, 1 by default.
        record: What the fit did.
    """
    factors = [
        (scales or {}).get(name, 1.0) for single in single_groups(task.cells) for name in single.groups
    ]
    weights = scale * codes(task.cells, task.cells) * torch.tensor(factors)
    return MidBlockIntervention(
        tensors={"vectors": torch.tensordot(weights, v.detach().cpu(), dims=1)},
        data={"target": dict(zip(task.concepts, task.target.tolist(), strict=True))},
        record=record,
    )
