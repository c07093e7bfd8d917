"""FairImagen: fair PCA of the text embeddings, plus the component of a drawn group.

"FairImagen: Post-Processing for Bias Mitigation in Text-to-Image Models", NeurIPS 2025, arXiv 2510.21363, as
in the released code (fuzihaofzh/FairImagen). A projection removes the differences between groups from a
prompt's embedding and keeps its main directions; for every image the component of a drawn group is then
added. ``X`` ``(n, D)`` are the embeddings ``x`` of training prompts (:func:`embeddings`), not centred, and
``Z`` ``(n, G)`` indicates the groups of each prompt, with one column for two groups. With the columns of
``Z`` centred,

    B = Z^T X                                       (G x D)     differences between the groups' means
    N = null space of B                             (D x (D - rank))
    Q = top h eigenvectors of N^T X^T X N
    P = U U^T,  U = N Q                             (D x D)
    x <- x P + eps^2 delta b_g,    b_g = row g of B at unit length

where ``delta`` is ``b_g . x`` of a prompt drawn from those of group ``g``, and ``g`` is drawn from the
target; the square of ``eps`` is that of the released code. With ``h = D - rank`` the projection only erases
the differences between the groups' means.

Two or more attributes are treated as their joint cells ("cross"): the group of a cell contains, once per
attribute, all prompts with the cell's value of it. A prompt thus counts several times, and ``B`` spans the
effects of the attributes one by one, not their interactions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from pydantic import Field, StringConstraints
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.methods.base import Cell, EditableModel, Intervention, Method, MethodInfo, Task, TextStates
from evenhand.methods.embeddings.debias_vl import TRAINING_PROFESSIONS
from evenhand.methods.shared.prompt_text import fill
from evenhand.methods.shared.randomness import drawn_cell
from evenhand.methods.shared.ratio_loop import Template, double
from evenhand.methods.space import Range, Space

Matrix = NDArray[np.float64]

RELEASED_SHARE = {"one": 1800 / 2048, "joint": 1400 / 2048}
"""Released ``h`` over ``D``, for one attribute and for joint cells."""

ENCODED_AT_ONCE = 256
"""Training prompts encoded together: 60 MB of text states for Stable Diffusion 1.x in ``float32``."""


@dataclass(frozen=True, eq=False)
class FairImagenIntervention(Intervention):
    """Projects the embeddings of prompts that mention a concept and adds a drawn group's component.

    ``tensors``: ``P`` ``(D, D)``, ``directions`` ``b`` ``(cells, D)``, and ``coefficients`` ``(cells, n)``,
    of which cell ``k`` uses the first ``data["counts"][k]``.
    """

    def embedding(self, text: TextStates, draws: Sequence[np.random.Generator]) -> TextStates:
        """Changes the last ``D`` columns of every token row, and the pooled vector if there is one."""
        states = text.states.clone()
        pooled = None if text.pooled is None else text.pooled.clone()
        for row, (prompt, draw) in enumerate(zip(text.texts, draws, strict=True)):
            if (drawn := drawn_cell(prompt, draw, self.data["target"])) is None:
                continue
            delta = self._noise(drawn[1], draw)
            states[row] = self._changed(text.states[row], delta)
            if text.pooled is not None and pooled is not None:
                pooled[row] = self._changed(text.pooled[row], delta)
        return replace(text, states=states, pooled=pooled)

    def _noise(self, cell: int, draw: np.random.Generator) -> Tensor:
        """``eps^2 delta b_g`` of the drawn cell, ``(D,)``."""
        coefficient = self.tensors["coefficients"][cell, draw.integers(self.data["counts"][cell])]
        eps: float = self.data["eps"]
        return eps**2 * coefficient * self.tensors["directions"][cell]

    def _changed(self, x: Tensor, noise: Tensor) -> Tensor:
        """``x P + noise`` in the last ``D`` columns of ``x``."""
        P = self.tensors["P"].to(x)
        first = x.shape[-1] - len(P)
        return torch.cat([x[..., :first], x[..., first:] @ P + noise.to(x)], dim=-1)


class FairImagen(Method):
    """FairImagen with the released parameters, relative to the width of the embedding.

    Attributes:
        eps: Strength of the group's component; enters squared, as released.
        kept: ``h / D``, the share of the embedding's directions that are kept; by default as released: 0.88
            (1800 of 2048) for one attribute, 0.68 (1400 of 2048) for joint cells. With 1 only the differences
            between the groups' means are removed.
        templates: Templates of the training prompts, with ``{a}``, ``{adjective}`` and ``{concept}``.
        contexts: Further words before the cell's, crossed with everything else.
        professions: Professions of the training prompts.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="fairimagen",
        version="1.0",
        title="FairImagen",
        summary="Projects group differences out of the text embedding and adds a drawn group's component.",
        paper="https://arxiv.org/abs/2510.21363",
        licence="Apache-2.0",
        origin="fuzihaofzh/FairImagen, Apache-2.0 by its licence file; reimplemented from the formulas",
        family="embedding",
        architectures=("sd1", "sd2", "sdxl"),
        attributes="any that words can express, alone or as joint cells",
    )
    intervention_type: ClassVar[type[Intervention]] = FairImagenIntervention

    eps: float = Field(default=0.6, ge=0)
    kept: float | None = Field(default=None, gt=0, le=1)
    templates: tuple[Annotated[Template, StringConstraints(pattern=r"\{adjective\}")], ...] = Field(
        default=("An image of {a} {adjective} {concept}.", "A photo of {a} {adjective} {concept}."),
        min_length=1,
    )
    contexts: tuple[str, ...] = Field(
        default=("", "smiling", "tall", "tired", "famous", "local", "friendly", "experienced"), min_length=1
    )
    professions: tuple[str, ...] = Field(default=TRAINING_PROFESSIONS, min_length=1)

    @classmethod
    def space(cls) -> Space:
        """The strength of the group's component, and the share of the embedding that is kept."""
        return {
            "eps": Range(low=0.2, high=2.0, log=True),
            "kept": Range(low=0.3, high=1.0),
        }

    def search_start(self, cells: Sequence[Cell]) -> dict[str, Any]:
        """The own values, with the released share of these cells where none is given."""
        return super().search_start(cells) | {"kept": self._share(cells)}

    def fit(self, task: Task) -> Intervention:
        """Fit the projection from the text encoder alone; no image is generated or judged.

        Raises:
            EvenhandError: There is only one cell, or the training prompts span too few directions.
        """
        if len(task.cells) < 2:
            raise EvenhandError("fairimagen needs at least two cells to distinguish, got one")
        texts, of_cell = self._training(task.cells)
        X = double(all_embeddings(task.model, texts)).numpy()
        members = memberships(task.cells)[:, of_cell]
        P, B = fair_pca(X, members, h=round(self._share(task.cells) * X.shape[1]))
        directions = B / np.linalg.norm(B, axis=1, keepdims=True)
        # Two groups share one row of B, that of the second group.
        directions = np.repeat(directions, 2, axis=0) if len(task.cells) == 2 else directions
        drawn = [np.repeat(X @ b, m) for b, m in zip(directions, members, strict=True)]
        coefficients = np.zeros((len(drawn), max(map(len, drawn))))
        for row, values in zip(coefficients, drawn, strict=True):
            row[: len(values)] = values
        return FairImagenIntervention(
            tensors={
                "P": torch.from_numpy(P).float(),
                "directions": torch.from_numpy(directions).float(),
                "coefficients": torch.from_numpy(coefficients).float(),
            },
            data={
                "target": dict(zip(task.concepts, task.target.tolist(), strict=True)),
                "counts": [len(values) for values in drawn],
                "eps": self.eps,
            },
        )

    def _training(self, cells: Sequence[Cell]) -> tuple[list[str], list[int]]:
        """Training prompts, and the index of the cell of each."""
        pairs = [
            (fill(template, concept=profession, cell=_within(context, cell)), number)
            for template in self.templates
            for context in self.contexts
            for profession in self.professions
            for number, cell in enumerate(cells)
        ]
        return [text for text, _ in pairs], [number for _, number in pairs]

    def _share(self, cells: Sequence[Cell]) -> float:
        joint = "joint" if len(cells[0].groups) > 1 else "one"
        return RELEASED_SHARE[joint] if self.kept is None else self.kept


def _within(context: str, cell: Cell) -> Cell:
    """The cell with a context's words before its adjective."""
    return replace(cell, adjective=f"{context} {cell.adjective}".strip())


def embeddings(text: TextStates) -> Tensor:
    """The embedding ``x`` of every prompt: the pooled vector, or the state at the first end of text."""
    return text.at(text.first_eos) if text.pooled is None else text.pooled


def all_embeddings(model: EditableModel, texts: Sequence[str]) -> Tensor:
    """The embeddings ``(n, D)`` of many texts; only part of them are in memory with all their rows."""
    parts = [texts[first : first + ENCODED_AT_ONCE] for first in range(0, len(texts), ENCODED_AT_ONCE)]
    return torch.cat([embeddings(model.encode(part)) for part in parts])


def memberships(cells: Sequence[Cell]) -> NDArray[np.int64]:
    """How often the prompts of every cell count in the group of every cell, ``(groups, cells)``."""
    return np.array(
        [[sum(g.groups[name] == c.groups[name] for name in g.groups) for c in cells] for g in cells]
    )


def fair_pca(X: Matrix, members: NDArray[np.int64], *, h: int) -> tuple[Matrix, Matrix]:
    """Fair PCA.

    Args:
        X: Embeddings, ``(n, D)``.
        members: How often every prompt counts in every group, ``(G, n)``.
        h: Number of directions kept; from ``D - rank B`` on, all that are not removed.

    Returns:
        ``P`` ``(D, D)`` and ``B`` ``(G, D)``, or ``(1, D)`` for two groups.

    Raises:
        EvenhandError: Fewer than all directions are kept, and the prompts span fewer than ``h`` of them, so
            that the others would be arbitrary.
    """
    total = members.sum(axis=0)
    sizes = members.sum(axis=1, keepdims=True)
    B = members @ X - sizes / sizes.sum() * (total @ X)
    B = B[1:] if len(B) == 2 else B
    N = scipy.linalg.null_space(B)
    if h >= N.shape[1]:
        return N @ N.T, B  # every basis of N gives the same projection
    values, vectors = np.linalg.eigh(N.T @ (X.T * total) @ X @ N)
    spanned = int((values > values[-1] * 1e-12 * len(X)).sum())
    if spanned < h:
        raise EvenhandError(
            f"fairimagen keeps {h} directions, but its {len(X)} training prompts span {spanned}; "
            "give more templates, contexts or professions, lower `kept`, or set it to 1"
        )
    U = N @ vectors[:, -h:]
    return U @ U.T, B
