"""Fair Diffusion: draws a cell for every image and steers its noise prediction there by semantic guidance.

Friedrich et al., "Fair Diffusion: Instructing Text-to-Image Generation Models on Fairness", arXiv 2302.10893,
with the guidance of Brack et al., "SEGA: Instructing Text-to-Image Models using Semantic Guidance", arXiv
2301.12247. Every image has edits ``c``, each a prompt with a sign: ``+1`` for what the image shows, ``-1``
for what it does not show. At every step, with ``e_uncond`` and ``e_c`` at the same latents,

    g_c = sgn_c s_e (e_c - e_uncond)
    g_c = g_c where |g_c| >= quantile(|g_c|, q), else 0       per image and latent channel, over h x w
    G   = sum_c g_c + s_m nu
    nu  = beta nu + (1 - beta) G                              from nu = 0, also during the warm-up
    e   = e_uncond + s (e_text - e_uncond) + G                G only after the warm-up

The paper treats gender: "male person" and "female person", one added and one reversed. For joint cells there
are two variants. ``edits="attributes"`` adds the prompt of each attribute's group and reverses those of its
other groups; it needs one U-Net pass per group of every attribute. ``edits="cells"`` adds the prompt of the
whole cell and reverses that of one cell that differs in every attribute, drawn for the image; it needs two
passes. With one binary attribute both are the paper's method.
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

Edit = tuple[str, int]
"""A prompt and its sign."""


class SemanticGuidance(Steering):
    """SEGA for a batch whose images have different edits, but the same number of them.

    Args:
        edits: ``b`` edits for each of ``n`` images; sign 0 leaves an image unchanged.
        scale: ``s_e``.
        quantile: ``q``, the share of latent positions that an edit does not change.
        momentum: ``s_m``.
        beta: Decay of the momentum.
        warmup: Share of the steps before the edits act.
    """

    def __init__(
        self,
        edits: Sequence[Sequence[Edit]],
        *,
        scale: float,
        quantile: float,
        momentum: float,
        beta: float,
        warmup: float,
    ) -> None:
        self.branches = [tuple(prompt for prompt, _ in row) for row in edits]
        self.signs = torch.tensor([[sign for _, sign in row] for row in edits]).T  # (b, n)
        self.scale, self.quantile, self.warmup = scale, quantile, warmup
        self.momentum, self.beta = momentum, beta
        self.nu: Tensor | float = 0.0

    def noise(self, step: Step, uncond: Tensor, text: Tensor, branches: Sequence[Tensor]) -> Tensor:
        """Classifier-free guidance plus ``G``."""
        signs = self.signs.to(uncond)[:, :, None, None, None]
        g = signs * self.scale * (torch.stack(list(branches)) - uncond)
        G = strongest(g, self.quantile).sum(dim=0) + self.momentum * self.nu
        self.nu = self.beta * self.nu + (1 - self.beta) * G
        guided = super().noise(step, uncond, text, branches)
        # Rounded, because 0.1 * 30 is 3.0000000000000004.
        return guided + G if step.index >= round(self.warmup * step.count, 6) else guided


def strongest(g: Tensor, quantile: float) -> Tensor:
    """``g`` ``(b, n, c, h, w)`` where its magnitude reaches the quantile over ``h x w``, else 0."""
    size = g.abs().flatten(start_dim=3).float()  # torch.quantile takes no half precision
    threshold = size.quantile(quantile, dim=3, keepdim=True)
    return torch.where(size >= threshold, g.flatten(start_dim=3), 0).view_as(g)


@dataclass(frozen=True, eq=False)
class FairDiffusionIntervention(Intervention):
    """Draws the edits of every image; ``data`` holds target, edits and guidance parameters."""

    def steer(self, batch: Batch) -> Steering:
        """Semantic guidance; an image whose prompt mentions no concept has edits of sign 0."""
        if not self.data["guidance"]["scale"]:
            return Steering()
        # Images without a concept get branches too: another batch shape would change the others' last bits.
        edits: list[list[Edit]] = []
        for text, draw in zip(batch.texts, batch.draws, strict=True):
            drawn = drawn_cell(text, draw, self.data["target"])
            if drawn is None:
                edits.append([("", 0)] * self.data["branches"])
            else:
                concept, cell = drawn
                choices = self.data["edits"][concept][cell]
                edits.append(choices[draw.integers(len(choices))])
        return SemanticGuidance(edits, **self.data["guidance"])


class FairDiffusion(Method):
    """Fair Diffusion with the parameters of the paper's experiment script.

    Attributes:
        prompt: Template of an edit's prompt, with ``{adjective}`` or ``{noun}`` and optionally ``{a}`` and
            ``{concept}``. With ``edits="attributes"`` both name the attribute's group alone.
        edits: What is added and reversed: the groups of every attribute, or two whole cells.
        scale: Strength of an edit, independent of the guidance scale.
        quantile: Share of the latent positions of a channel that an edit does not change, below one.
        momentum: Share of the momentum that is added.
        beta: Decay of the momentum, below one.
        warmup: Share of the steps before the edits act; the script has 5 of 50.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="fair-diffusion",
        version="1.0",
        title="Fair Diffusion",
        summary="Steers the noise prediction of each image towards a drawn cell by semantic guidance.",
        paper="https://arxiv.org/abs/2302.10893",
        licence="Apache-2.0",
        origin="ml-research/Fair-Diffusion, Apache-2.0; reimplemented from the formulas",
        family="guidance",
        architectures=("sd1", "sd2", "sdxl"),
        attributes="any that words can express, alone or as joint cells",
    )
    intervention_type: ClassVar[type[Intervention]] = FairDiffusionIntervention
    strength: ClassVar[str | None] = "scale"

    prompt: Annotated[str, StringConstraints(pattern=r"\{(noun|adjective)\}")] = "{adjective} person"
    edits: Literal["attributes", "cells"] = "attributes"
    scale: float = Field(default=4.0, ge=0)
    quantile: float = Field(default=0.95, ge=0, lt=1)
    momentum: float = Field(default=0.5, ge=0)
    beta: float = Field(default=0.6, ge=0, lt=1)
    warmup: float = Field(default=0.1, ge=0, lt=1)

    @classmethod
    def space(cls) -> Space:
        """What is edited, how strongly, at how many positions, and from which step on."""
        return {
            "edits": Choice(("attributes", "cells")),
            "scale": Range(low=1.0, high=16.0, log=True),
            "quantile": Range(low=0.0, high=0.99),
            "momentum": Range(low=0.0, high=1.0),
            "warmup": Range(low=0.0, high=0.5),
        }

    def budget(self, *, concepts: int, cells: Sequence[Cell]) -> Budget:
        """No images; one U-Net pass per edit."""
        return Budget(branches=2 if self.edits == "cells" else len(single_groups(cells)))

    def fit(self, task: Task) -> Intervention:
        """Store the edits of every concept and cell; no image is generated or judged.

        Raises:
            EvenhandError: There is only one cell, or a template contains another field.
        """
        if len(task.cells) < 2:
            raise EvenhandError("fair-diffusion needs at least two cells to draw from, got one")
        of_cell = self._by_attribute if self.edits == "attributes" else self._by_cell
        edits = {
            concept: [of_cell(concept, cell, task.cells) for cell in task.cells] for concept in task.concepts
        }
        return FairDiffusionIntervention(
            data={
                "target": dict(zip(task.concepts, task.target.tolist(), strict=True)),
                "edits": edits,
                "branches": self.budget(concepts=len(task.concepts), cells=task.cells).branches,
                "guidance": self.model_dump(include={"scale", "quantile", "momentum", "beta", "warmup"}),
            }
        )

    def _by_attribute(self, concept: str, cell: Cell, cells: Sequence[Cell]) -> list[list[Edit]]:
        """One choice: add the cell's group of each attribute, reverse the attribute's other groups."""
        groups = single_groups(cells)
        signs = [1 if group.groups.items() <= cell.groups.items() else -1 for group in groups]
        return [[(self._fill(concept, group), sign) for group, sign in zip(groups, signs, strict=True)]]

    def _by_cell(self, concept: str, cell: Cell, cells: Sequence[Cell]) -> list[list[Edit]]:
        """Add the cell and reverse an opposite one: one choice per opposite."""
        return [
            [(self._fill(concept, cell), 1), (self._fill(concept, opposite), -1)]
            for opposite in opposites(cell, cells)
        ]

    def _fill(self, concept: str, cell: Cell) -> str:
        return fill(self.prompt, concept=concept, cell=cell)
