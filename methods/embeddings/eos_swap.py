"""EOS swap: keeps the words of a prompt and replaces its end of text by that of a drawn cell's prompt.

Based on "The Curious Case of End Token: A Zero-Shot Disentangled Image Editing using CLIP" (arXiv
2406.00457), by the group behind MIST. The text encoder is causal: the states of begin of text and words do
not depend on what follows, and the end of text summarizes the prompt. Text states are therefore split there,

    E(p) = [ s_BOS .. s_n | s_EOS s_pad .. s_pad ]   ->   [ s_BOS .. s_n | w g_EOS w g_pad .. ]

with ``g`` the states of a guidance text and ``w`` its strength. The authors edit images with it. Its use for
debiasing is ours: every image takes the guidance of a cell drawn from the target, for example "a female
nurse" for an image of "a photo of a nurse". Row ``n + 1 + i`` of the prompt becomes row ``n_g + 1 + i`` of
the guidance, so that the first ends of text are aligned; beyond the end of the guidance, its last row is
repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field, StringConstraints
from torch import Tensor

from evenhand.methods.base import Intervention, Method, MethodInfo, Task, TextStates
from evenhand.methods.shared.prompt_text import fill
from evenhand.methods.shared.randomness import drawn_cell
from evenhand.methods.space import Range, Space


@dataclass(frozen=True, eq=False)
class EosSwapIntervention(Intervention):
    """Replaces the end of text by that of a drawn cell's guidance.

    ``tensors``: for every guidance text ``ends`` ``(g, length, d)``, its rows from the first end of text on,
    padded with the last one, and for SDXL ``pooled`` ``(g, p)``. ``data``: the target, and the concepts and
    number of cells that give the order of the guidance texts.
    """

    def embedding(self, text: TextStates, draws: Sequence[np.random.Generator]) -> TextStates:
        """Text states with the guidance's end of text, for the prompts that mention a concept."""
        states = text.states.clone()
        pooled = None if text.pooled is None else text.pooled.clone()
        target = self.data["target"]
        for row, (prompt, draw) in enumerate(zip(text.texts, draws, strict=True)):
            if (drawn := drawn_cell(prompt, draw, target)) is None:
                continue
            concept, cell = drawn
            guidance = self.data["concepts"].index(concept) * self.data["cells"] + cell
            first = int(text.first_eos[row])
            states[row, first:] = self.tensors["ends"][guidance, : states.shape[1] - first].to(states)
            if pooled is not None:
                pooled[row] = self.tensors["pooled"][guidance].to(pooled)
        return replace(text, states=states, pooled=pooled)


class EosSwap(Method):
    """EOS swap, with a cell drawn for every image.

    Attributes:
        weight: Strength ``w`` of the guidance's end of text; one uses it unscaled.
        guidance: Template of the guidance text, with ``{noun}`` (the attributes alone) or ``{a}``,
            ``{adjective}`` and ``{concept}``.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="eos-swap",
        version="1.0",
        title="EOS swap",
        summary="Keeps a prompt's words and replaces its end of text by that of a drawn cell's prompt.",
        paper="https://arxiv.org/abs/2406.00457",
        licence="Apache-2.0",
        origin="the paper's formula as summarised in a review; its use for debiasing is ours",
        family="embedding",
        architectures=("sd1", "sd2", "sdxl"),
        attributes="any that words can express, alone or as joint cells",
    )
    intervention_type: ClassVar[type[Intervention]] = EosSwapIntervention

    weight: float = Field(default=1.0, gt=0)
    guidance: Annotated[str, StringConstraints(pattern=r"\{(noun|adjective)\}")] = "{a} {adjective} {concept}"

    @classmethod
    def space(cls) -> Space:
        """The strength of the guidance, the only parameter that is not a text."""
        return {"weight": Range(low=0.25, high=4.0, log=True)}

    def fit(self, task: Task) -> Intervention:
        """Encode the guidance of every concept and cell; no image is generated or judged."""
        texts = [
            fill(self.guidance, concept=concept, cell=cell)
            for concept in task.concepts
            for cell in task.cells
        ]
        encoded = task.model.encode(texts)
        tensors = {"ends": self.weight * ends(encoded)}
        if encoded.pooled is not None:
            tensors["pooled"] = encoded.pooled.clone()
        return EosSwapIntervention(
            tensors=tensors,
            data={
                "target": dict(zip(task.concepts, task.target.tolist(), strict=True)),
                "concepts": list(task.concepts),
                "cells": len(task.cells),
            },
        )


def ends(text: TextStates) -> Tensor:
    """Rows from the first end of text on, each text padded with its last row, ``(n, length, d)``."""
    length = text.states.shape[1]
    positions = text.first_eos[:, None] + torch.arange(length, device=text.first_eos.device)
    rows = torch.arange(len(text.states), device=positions.device)[:, None]
    return text.states[rows, positions.clamp(max=length - 1)]
