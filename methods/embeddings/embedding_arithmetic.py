"""Embedding Arithmetic: adds the vector of a drawn group to the text embedding of a prompt.

Thirugnana Sambandham, Schön: "Embedding Arithmetic: A Lightweight, Tuning-Free Framework for Post-hoc Bias
Mitigation in Text-to-Image Models", arXiv 2604.18167, as in the released code (cvims/EMBEDDING-ARITHMETIC).
With ``E`` the embedding of a text and ``P`` a list of professions, the vector of a group ``a`` and the
embedding of a prompt ``x`` are

    v_a  = 1/|P| sum_(p in P) (E("a photo portrait of a/an {a} {p}") - E("a photo portrait of a/an {p}"))
    E(x) <- E(x) + alpha v_a

The vector of a joint cell comes from prompts that name all of its groups. Composed, it is the sum of the
vectors of these groups, ``v_(a, b) = v_a + v_b``. The group of an image is drawn from the target.

In the released code ``E`` is the pooled CLIP embedding, the text state ``(d,)`` at the first end of text,
which is all that its FLUX model reads. The U-Net of Stable Diffusion reads the states of all tokens. Here
``v_a`` is added to the states from the first end of text on. The text encoder is causal, so each of them
summarizes the prompt; those of the words do not depend on what follows and are kept. SDXL also reads a pooled
vector, which has a ``v_a`` of the same form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from evenhand.methods.base import Cell, EditableModel, Intervention, Method, MethodInfo, Task, TextStates
from evenhand.methods.shared.prompt_text import fill
from evenhand.methods.shared.randomness import drawn_cell
from evenhand.methods.shared.ratio_loop import Template, double
from evenhand.methods.space import Choice, Range, Space

RELEASED_PROFESSIONS = (
    "nurse",
    "doctor",
    "engineer",
    "teacher",
    "scientist",
    "chef",
    "police officer",
    "CEO",
    "artist",
    "construction worker",
)
"""The ten professions from which the released scripts compute the vectors."""


@dataclass(frozen=True, eq=False)
class EmbeddingArithmeticIntervention(Intervention):
    """Adds the vector of a drawn cell to the end of text.

    ``tensors``: ``alpha v`` ``(K, d)``, for SDXL followed by that of the pooled vector, ``(K, d + p)``.
    ``data``: the target.
    """

    def embedding(self, text: TextStates, draws: Sequence[np.random.Generator]) -> TextStates:
        """``E(x) + alpha v`` for the prompts that mention a concept."""
        states = text.states.clone()
        pooled = None if text.pooled is None else text.pooled.clone()
        d = states.shape[2]
        for row, (prompt, draw) in enumerate(zip(text.texts, draws, strict=True)):
            if (drawn := drawn_cell(prompt, draw, self.data["target"])) is None:
                continue
            v = self.tensors["v"][drawn[1]].to(states)
            states[row, int(text.first_eos[row]) :] += v[:d]
            if pooled is not None:
                pooled[row] += v[d:].to(pooled)
        return replace(text, states=states, pooled=pooled)


class EmbeddingArithmetic(Method):
    """Embedding Arithmetic with the parameters of the released scripts.

    Attributes:
        alpha: Strength; zero leaves the text states unchanged.
        composed: Whether the vector of a joint cell is the sum of those of its groups.
        template: Template of the prompts, with ``{concept}`` and ``{a}``; groups are named before the
            concept.
        professions: The professions of the prompts.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="embedding-arithmetic",
        version="1.0",
        title="Embedding Arithmetic",
        summary="Adds the vector of a drawn group, a mean difference of embeddings, to the text states.",
        paper="https://arxiv.org/abs/2604.18167",
        licence="Apache-2.0",
        origin="cvims/EMBEDDING-ARITHMETIC, MIT, for FLUX; reimplemented from the formulas for U-Nets",
        family="embedding",
        architectures=("sd1", "sd2", "sdxl"),
        attributes="any that words can express, alone or as joint cells",
    )
    intervention_type: ClassVar[type[Intervention]] = EmbeddingArithmeticIntervention
    strength: ClassVar[str | None] = "alpha"

    alpha: float = Field(default=1.25, ge=0)
    composed: bool = False
    template: Template = "a photo portrait of {a} {concept}"
    professions: tuple[str, ...] = Field(default=RELEASED_PROFESSIONS, min_length=1)

    @classmethod
    def space(cls) -> Space:
        """The strength, up to the largest that the released scripts try, and how groups are combined."""
        return {"alpha": Range(low=0.25, high=5.0, log=True), "composed": Choice((False, True))}

    def fit(self, task: Task) -> Intervention:
        """Compute the vectors from the text encoder alone; no image is generated or judged.

        Raises:
            EvenhandError: The template has a field other than ``{concept}`` and ``{a}``.
        """
        neutral = self._mean(task.model)
        v = [
            torch.stack([self._mean(task.model, a) - neutral for a in self._words(cell)]).sum(dim=0)
            for cell in task.cells
        ]
        return EmbeddingArithmeticIntervention(
            tensors={"v": self.alpha * torch.stack(v).float()},
            data={"target": dict(zip(task.concepts, task.target.tolist(), strict=True))},
        )

    def _words(self, cell: Cell) -> list[str]:
        """The words whose vectors are added: those of the cell, or of each of its groups."""
        return list(cell.adjectives.values()) if self.composed else [cell.adjective]

    def _mean(self, model: EditableModel, words: str = "") -> Tensor:
        """Mean of ``E`` over the professions with these words before them, ``(d,)`` or ``(d + p,)``."""
        texts = [fill(self.template, concept=f"{words} {p}".strip()) for p in self.professions]
        encoded = model.encode(texts)
        E = [encoded.at(encoded.first_eos)] + ([] if encoded.pooled is None else [encoded.pooled])
        return double(torch.cat(E, dim=1)).mean(dim=0)
