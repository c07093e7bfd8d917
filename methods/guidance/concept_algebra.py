"""Concept Algebra: replaces the part of the score that encodes a concept by that of another prompt.

Wang et al., "Concept Algebra for (Score-Based) Text-Controlled Generative Models", arXiv 2302.03693. Scores
are the U-Net's noise predictions at the same latents, written as vectors of ``D = c h w`` numbers. Prompts
``z_1 .. z_n`` that differ in the concept (gender, say) span its subspace. At every step, for every image,

    A   = [e_z1 .. e_zn] / sqrt(n), minus its mean column          (D, n)
    A   = Q S R^T                                                  singular value decomposition
    Q   = its first k columns, whose share of sum S^2 first reaches the threshold
    e_0 <- e_0 + gamma Q Q^T (e_new - e_0)                         while t <= 1000 until
    e   = e_uncond + w (e_0 - e_uncond)

``e_0`` is the prediction of the prompt and ``e_new`` that of the prompt whose concept it takes. With two
poles ``e_a`` and ``e_b``, ``Q`` is ``u = (e_b - e_a) / ||e_b - e_a||``, and ``gamma = 1`` gives the paper's
binary form, ``e_0 - <e_0 - e_new, u> u``.

The paper removes a bias with a neutral ``e_new``, "a person" (``towards="neutral"``), which leaves the shares
to the model. With ``towards="cell"`` it is the prompt of a cell drawn from the target, so the shares follow
the target as far as the subspace encodes the differences between the cells. ``span`` trades accuracy for
cost, since each spanning prompt is one more pass of the U-Net: all cells, the groups of every attribute
alone, or only the drawn cell and one that differs from it in every attribute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, StringConstraints
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.methods.base import Budget, Cell, Intervention, Method, MethodInfo, Task
from evenhand.methods.hooks import Batch, Steering, Step
from evenhand.methods.shared.cells import opposites, single_groups
from evenhand.methods.shared.prompt_text import fill
from evenhand.methods.shared.randomness import drawn_cell
from evenhand.methods.space import Choice, Range, Space


def subspace(scores: Tensor, threshold: float) -> Tensor:
    """Orthonormal columns ``Q`` that span the concept, for every image.

    Args:
        scores: Predictions of the spanning prompts, ``(n, images, D)``.
        threshold: Share of the variance to reach, in (0, 1).

    Returns:
        ``(images, D, n)``; columns that are not kept are zero, because images keep different numbers of them.
    """
    A = scores.float().permute(1, 2, 0) / len(scores) ** 0.5  # no decomposition in half precision
    Q, S, _ = torch.linalg.svd(A - A.mean(dim=2, keepdim=True), full_matrices=False)
    variance = S**2
    # An image without a concept has equal prompts, zero variance and a gamma of zero.
    total = variance.sum(dim=1, keepdim=True).clamp_min(torch.finfo(variance.dtype).tiny)
    before = (variance.cumsum(dim=1) - variance) / total
    kept: Tensor = Q * (before < threshold)[:, None, :]
    return kept


class ConceptProjection(Steering):
    """The projection for a batch whose images have different prompts, but the same number of them.

    Args:
        branches: Spanning prompts, and further ones, of each of ``n`` images.
        new: Index of the prompt that gives ``e_new``, for each image.
        gamma: Strength for each image; 0 leaves it unchanged.
        spanning: Number of prompts, from the first, that span the subspace.
        threshold: Share of the variance that the kept columns reach.
        until: The timestep up to which the projection acts, counted from the noiseless end.
    """

    def __init__(
        self,
        branches: Sequence[Sequence[str]],
        new: Sequence[int],
        gamma: Sequence[float],
        *,
        spanning: int,
        threshold: float,
        until: float,
    ) -> None:
        self.branches = branches
        self.new = torch.tensor(new)
        self.gamma = torch.tensor(gamma)
        self.spanning, self.threshold, self.until = spanning, threshold, until

    def noise(self, step: Step, uncond: Tensor, text: Tensor, branches: Sequence[Tensor]) -> Tensor:
        """Classifier-free guidance with the projected prediction."""
        if step.timestep <= self.until:
            scores = torch.stack([branch.flatten(start_dim=1) for branch in branches])
            e_0, e_new = text.flatten(start_dim=1), scores[self.new, torch.arange(len(text))]
            Q = subspace(scores[: self.spanning], self.threshold).to(text)
            change = (Q @ (Q.mT @ (e_new - e_0)[:, :, None]))[:, :, 0]
            text = (e_0 + self.gamma.to(text)[:, None] * change).view_as(text)
        return super().noise(step, uncond, text, branches)


@dataclass(frozen=True, eq=False)
class ConceptAlgebraIntervention(Intervention):
    """Draws the cell of every image; ``data`` holds target, prompts and projection parameters."""

    def steer(self, batch: Batch) -> Steering:
        """The projection; an image whose prompt mentions no concept has a gamma of zero."""
        data = self.data
        if not data["gamma"]:
            return Steering()
        branches, new, gamma = [], [], []
        for text, draw in zip(batch.texts, batch.draws, strict=True):
            drawn = drawn_cell(text, draw, data["target"])
            if drawn is None:
                # It gets branches too: another batch shape would change the last bits of the other images.
                prompts, index = [""] * data["branches"], 0
            else:
                concept, cell = drawn
                choices = data["prompts"][concept][cell]
                prompts, index = choices[draw.integers(len(choices))]
            branches.append(prompts)
            new.append(index)
            gamma.append(0.0 if drawn is None else data["gamma"])
        return ConceptProjection(branches, new, gamma, **data["projection"])


class ConceptAlgebra(Method):
    """Concept Algebra with the defaults of the released code and of its evaluation by UCE's authors.

    Attributes:
        prompt: Template of a cell's prompt, with ``{noun}`` or ``{adjective}`` and optionally ``{a}`` and
            ``{concept}``; with ``span="groups"`` both name a group alone.
        neutral: The prompt of ``e_new`` if ``towards`` is ``neutral``.
        towards: Whether the concept is taken from the ``neutral`` prompt or from a drawn ``cell``'s prompt.
        span: Prompts that span the subspace: all ``cells``, the ``groups`` of every attribute alone, or the
            drawn cell and its ``opposite``, one that differs from it in every attribute.
        gamma: Strength of the projection; 0 leaves the model unchanged.
        threshold: Share of the variance between the spanning prompts that the subspace reaches.
        until: Share of the training timesteps in which it acts, counted from the noiseless end.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="concept-algebra",
        version="1.0",
        title="Concept Algebra",
        summary="Replaces the part of the predicted noise that encodes the attributes by another prompt's.",
        paper="https://arxiv.org/abs/2302.03693",
        licence="Apache-2.0",
        origin="zihao12/concept-algebra-code, released without a licence; reimplemented from the formulas",
        family="guidance",
        architectures=("sd1", "sd2", "sdxl"),
        attributes="any that words can express, alone or as joint cells",
    )
    intervention_type: ClassVar[type[Intervention]] = ConceptAlgebraIntervention
    strength: ClassVar[str | None] = "gamma"

    prompt: Annotated[str, StringConstraints(pattern=r"\{(noun|adjective)\}")] = "{a} {noun}"
    neutral: str = "a person"
    towards: Literal["neutral", "cell"] = "neutral"
    span: Literal["cells", "groups", "opposite"] = "cells"
    gamma: float = Field(default=1.0, ge=0)
    threshold: float = Field(default=0.9, gt=0, lt=1)
    until: float = Field(default=1.0, gt=0, le=1)

    @classmethod
    def space(cls) -> Space:
        """Which prompt gives the concept, and how strongly, how completely and how long it acts.

        ``span`` is left out because it decides the number of U-Net passes per image, which the suite limits.
        """
        return {
            "towards": Choice(("neutral", "cell")),
            "gamma": Range(low=0.25, high=4.0, log=True),
            "threshold": Range(low=0.3, high=0.99),
            "until": Range(low=0.3, high=1.0),
        }

    def budget(self, *, concepts: int, cells: Sequence[Cell]) -> Budget:
        """No images; one U-Net pass per spanning prompt, and one for ``e_new`` if it is not among them."""
        return Budget(branches=self._spanning(cells) + (not self._new_is_spanning))

    def fit(self, task: Task) -> Intervention:
        """Store the prompts of every concept and cell; no image is generated or judged.

        Raises:
            EvenhandError: There is only one cell, or a template contains another field.
        """
        if len(task.cells) < 2:
            raise EvenhandError("concept-algebra needs at least two cells to span a subspace, got one")
        prompts = {
            concept: [self._choices(concept, cell, task.cells) for cell in task.cells]
            for concept in task.concepts
        }
        return ConceptAlgebraIntervention(
            data={
                "target": dict(zip(task.concepts, task.target.tolist(), strict=True)),
                "prompts": prompts,
                "branches": self.budget(concepts=len(task.concepts), cells=task.cells).branches,
                "gamma": self.gamma,
                "projection": {
                    "spanning": self._spanning(task.cells),
                    "threshold": self.threshold,
                    "until": self.until * len(task.model.alphas_cumprod),
                },
            }
        )

    def _spanning(self, cells: Sequence[Cell]) -> int:
        """Number of prompts that span the subspace."""
        return {"cells": len(cells), "groups": len(single_groups(cells)), "opposite": 2}[self.span]

    def _choices(self, concept: str, cell: Cell, cells: Sequence[Cell]) -> list[tuple[list[str], int]]:
        """Prompts of the branches and the index of ``e_new``'s; one choice per opposite, otherwise one."""
        spans = {
            "cells": [list(cells)],
            "groups": [single_groups(cells)],
            "opposite": [[cell, opposite] for opposite in opposites(cell, cells)],
        }[self.span]
        new = self.neutral if self.towards == "neutral" else self._fill(concept, cell)
        choices = []
        for span in spans:
            prompts = [self._fill(concept, other) for other in span]
            if not self._new_is_spanning:
                prompts.append(new)
            choices.append((prompts, prompts.index(new)))
        return choices

    @property
    def _new_is_spanning(self) -> bool:
        """Whether the prompt of ``e_new`` is one of the spanning prompts."""
        return self.towards == "cell" and self.span != "groups"

    def _fill(self, concept: str, cell: Cell) -> str:
        return fill(self.prompt, concept=concept, cell=cell)
