"""Debias-VL: a matrix shrinks the directions that separate groups in the text states.

Chuang, Jampani, Li, Torralba, Jegelka: "Debiasing Vision-Language Models via Biased Prompts", arXiv
2302.00070; the variant for text-to-image models. Prompts that differ only in the group span the directions to
be removed. With ``z`` the text state of a prompt at its first end of text, at unit length, and ``S`` all
pairs ``(i, j)`` of prompts that name the same profession and different cells,

    M = 1/|S| sum_(i,j) (z_i - z_j)(z_i - z_j)^T                          (d x d)
    P = (I + lam M)^-1

``P`` minimizes ``||P - I||_F^2 + lam/|S| sum ||P z_i - P z_j||^2``, whose gradient vanishes at ``P - I + lam
P M = 0``. It is inverted in double precision and applied to every row of the conditional text states, ``E(p)
<- E(p) P^T``; the unconditional branch is unchanged. Since ``P`` is linear, the unit length only matters for
the weight of the pairs.

The paper treats gender, one pair per profession. With more cells all pairs of cells count, so all differences
between joint groups are shrunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field, StringConstraints
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.methods.base import Cell, EditableModel, Intervention, Method, MethodInfo, Task, TextStates
from evenhand.methods.shared.prompt_text import fill, first_phrase
from evenhand.methods.shared.ratio_loop import Template, encode
from evenhand.methods.space import Range, Space

TRAINING_PROFESSIONS = tuple(
    """
    actor, architect, audiologist, author, baker, barber, blacksmith, bricklayer, bus driver,
    butcher, chef, chemist, cleaner, coach, comedian, computer programmer, construction worker,
    consultant, counselor, dancer, dentist, designer, dietitian, dj, doctor, driver, economist,
    electrician, engineer, entrepreneur, farmer, florist, graphic designer, hairdresser, historian,
    journalist, judge, lawyer, librarian, magician, makeup artist, mathematician, marine biologist,
    mechanic, model, musician, nanny, nurse, optician, painter, pastry chef, pediatrician,
    photographer, plumber, police officer, politician, professor, psychologist, real estate agent,
    receptionist, recruiter, researcher, sailor, salesperson, surveyor, singer, social worker,
    software developer, statistician, surgeon, teacher, technician, therapist, tour guide,
    translator, vet, videographer, waiter, writer, zoologist
    """.strip()
    .replace("\n    ", " ")
    .split(", ")
)
"""The 80 professions from which the released code estimates the directions."""


@dataclass(frozen=True, eq=False)
class DebiasVlIntervention(Intervention):
    """Multiplies text states by ``tensors["P"]``, ``(d, d)``."""

    def embedding(self, text: TextStates, draws: Sequence[np.random.Generator]) -> TextStates:
        """``E(p) P^T`` for the prompts that mention a concept, or for all."""
        P = self.tensors["P"].to(text.states)
        concepts = self.data["concepts"]
        treated = [self.data["every_prompt"] or first_phrase(t, concepts) is not None for t in text.texts]
        chosen = torch.tensor(treated, device=text.states.device)[:, None, None]
        # One product per prompt, so that an image's states do not depend on the size of its batch.
        projected = torch.stack([states @ P.T for states in text.states])
        return replace(text, states=torch.where(chosen, projected, text.states))


class DebiasVl(Method):
    """Debias-VL with the parameters of the released text-to-image script.

    Attributes:
        lam: Strength; zero leaves the text states unchanged.
        template: Template of the prompts of the pairs, with ``{adjective}``, ``{concept}`` and ``{a}``.
        professions: The professions of the pairs; released: 80, none of which the script tests.
        every_prompt: Whether prompts without a treated concept are projected too, as released.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="debias-vl",
        version="1.0",
        title="Debias-VL",
        summary="Shrinks the directions that separate groups in the text states, with one matrix.",
        paper="https://arxiv.org/abs/2302.00070",
        licence="Apache-2.0",
        origin="chingyaoc/debias_vl, MIT; reimplemented from the formulas",
        family="embedding",
        architectures=("sd1", "sd2", "sdxl"),
        attributes="any that words can express, alone or as joint cells; no control of the shares",
    )
    intervention_type: ClassVar[type[Intervention]] = DebiasVlIntervention
    strength: ClassVar[str | None] = "lam"

    lam: float = Field(default=500.0, ge=0)
    template: Annotated[Template, StringConstraints(pattern=r"\{adjective\}")] = (
        "A photo of {a} {adjective} {concept}."
    )
    professions: tuple[str, ...] = Field(default=TRAINING_PROFESSIONS, min_length=1)
    every_prompt: bool = False

    @classmethod
    def space(cls) -> Space:
        """The strength; the other parameters choose texts and prompts, not how well the method works."""
        return {"lam": Range(low=1.0, high=50_000.0, log=True)}

    def fit(self, task: Task) -> Intervention:
        """Estimate ``P`` from the text encoder alone; no image is generated or judged.

        Raises:
            EvenhandError: There is only one cell.
        """
        if len(task.cells) < 2:
            raise EvenhandError("debias-vl needs at least two cells to distinguish, got one")
        M = second_moment(self._differences(task.model, task.cells))
        P = torch.linalg.inv(torch.eye(len(M), dtype=M.dtype) + self.lam * M)
        return DebiasVlIntervention(
            tensors={"P": P.float()},
            data={"concepts": list(task.concepts), "every_prompt": self.every_prompt},
        )

    def _differences(self, model: EditableModel, cells: Sequence[Cell]) -> Tensor:
        """``z_i - z_j`` of all pairs of cells within a profession, ``(|S|, d)``."""
        texts = [
            fill(self.template, concept=concept, cell=cell) for concept in self.professions for cell in cells
        ]
        encoded = encode(model, texts)
        z = torch.nn.functional.normalize(encoded.at(encoded.first_eos), dim=1)
        z = z.reshape(len(self.professions), len(cells), -1)
        return torch.cat([z[:, i] - z[:, j] for i, j in combinations(range(len(cells)), 2)])


def second_moment(rows: Tensor) -> Tensor:
    """``1/n sum_i x_i x_i^T`` of the rows ``(n, d)``."""
    return rows.T @ rows / len(rows)
