"""RespoDiff: two vectors per group on the bottleneck, learned by score matching without images.

Vadakkeeveetil Sreelatha, Nag, Awais, Belongie, Dutta: "RespoDiff: Dual-Module Bottleneck Transformation for
Responsible & Faithful T2I Generation", arXiv 2509.15257 (NeurIPS 2025). Of every group one constant vector
``T_resp`` moves the bottleneck ``h`` towards it, and one, ``T_sem``, preserves the meaning of the neutral
prompt:

    z      from noise to a random step with the neutral prompt and h + T_resp + T_sem; no gradient
    L_resp = || eps(z, neutral; h + T_resp)         - eps(z, stated; h)  ||^2     trains T_resp
    L_sem  = || eps(z, neutral; h + T_resp + T_sem) - eps(z, neutral; h) ||^2     trains T_sem, weight lambda

``T_resp`` is a constant in ``L_sem``. An image that mentions a concept draws a cell from the target, and
``T_resp + T_sem`` of its groups is added to ``h`` in the conditional half of guidance, at every step, with a
factor for each attribute (see :mod:`evenhand.methods.activations._mid_block`).

``L_sem`` alone is minimal at ``T_sem = -T_resp``: how far ``T_sem`` lags behind decides what remains of a
group. Adam is invariant to a constant factor of a loss, so ``lambda`` multiplies the steps of ``T_sem``
instead, which is equivalent for plain gradient descent.

``z`` comes from a deterministic DDIM run (arXiv 2010.02502, equation 12) with guidance:

    x_0 = (z_t - sqrt(1 - abar_t) e) / sqrt(abar_t),      z_s = sqrt(abar_s) x_0 + sqrt(1 - abar_s) e
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.methods.activations._mid_block import (
    Lessons,
    MidBlockIntervention,
    added,
    codes,
    for_cells,
    shape_of_h,
    training_cells,
)
from evenhand.methods.base import Budget, Cell, EditableModel, Intervention, Method, MethodInfo, Task
from evenhand.methods.shared.prompt_text import fill
from evenhand.methods.shared.training import course, gaussian, one_thread, train


def ddim_step(z: Tensor, e: Tensor, *, signal: Tensor, next_signal: Tensor) -> Tensor:
    """One deterministic DDIM step from ``abar_t = signal`` to ``abar_s = next_signal``."""
    clean = (z - (1 - signal).sqrt() * e) / signal.sqrt()
    return next_signal.sqrt() * clean + (1 - next_signal).sqrt() * e


class RespoDiff(Method):
    """RespoDiff's two vectors on the bottleneck.

    Attributes:
        neutral: Template of the neutral prompt, with ``{a}`` and ``{concept}`` if concepts are named.
        stated: Template of the prompt that states a group, with ``{a}`` and ``{noun}``, or ``{adjective}``
            and ``{concept}``.
        lessons: Whether vectors are learned on ``groups`` alone, as published, or on whole ``cells``.
        iterations: Training iterations for every group or cell.
        batch: Groups or cells per iteration; published: 1.
        steps: Number of steps of a full run from noise to image; ``z`` is taken at a random one.
        guidance: Guidance scale of that run; 1 halves its passes.
        learning_rate: Learning rate of Adam.
        lam: Weight of the semantic loss; at 0 there is no ``T_sem``.
        scales: Factor by attribute, 1 by default; published for gender and race together: 1.1 and 0.9.
        scale: Factor of all added vectors; 1 as published.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="respodiff",
        version="1.0",
        title="RespoDiff",
        summary="Adds two learned vectors of a drawn group to the bottleneck, trained without images.",
        paper="https://arxiv.org/abs/2509.15257",
        licence="Apache-2.0",
        origin="no code released; implemented from the paper's formulas",
        family="activations",
        architectures=("sd1", "sd2", "sdxl"),
        attributes="any that words can express, each group with its own vectors; joint cells with their sum",
    )
    intervention_type: ClassVar[type[Intervention]] = MidBlockIntervention
    strength: ClassVar[str | None] = "scale"

    neutral: str = "a person"
    stated: str = "{a} {noun}"
    lessons: Lessons = "groups"
    iterations: int = Field(default=5000, ge=1)
    batch: int = Field(default=1, ge=1)
    steps: int = Field(default=50, ge=1)
    guidance: float = Field(default=7.5, ge=1)
    learning_rate: float = Field(default=0.01, gt=0)
    lam: float = Field(default=0.5, ge=0)
    scales: Mapping[str, float] = {}
    scale: float = Field(default=1.0, ge=0)

    def budget(self, *, concepts: int, cells: Sequence[Cell]) -> Budget:
        """One image and one pass for the shapes; per iteration four passes after the longest run."""
        rows = self._training_steps(cells) * self.batch
        run = (self.steps - 1) * (1 if self.guidance == 1 else 2)
        return Budget(images=1, evaluations=rows * (run + 4) + 1, exact=False)

    def check(self, *, family: str, cells: Sequence[Cell]) -> None:
        """Also reject factors of attributes that are not balanced."""
        super().check(family=family, cells=cells)
        unknown = sorted(set(self.scales) - set(cells[0].groups))
        if unknown:
            raise EvenhandError(
                f"respodiff: 'scales' names {', '.join(unknown)}, which is not balanced; "
                f"the attributes are {', '.join(cells[0].groups)}"
            )

    def _training_steps(self, cells: Sequence[Cell]) -> int:
        return max(1, self.iterations * len(training_cells(cells, self.lessons)) // self.batch)

    @one_thread()
    def fit(self, task: Task) -> Intervention:
        """Learn both vectors of every group, and add them up for every cell."""
        model, rng = task.model, task.rng
        trained = training_cells(task.cells, self.lessons)
        like = model.latents(task.sample([fill(self.neutral, concept=task.concepts[0])], [0]))
        code = codes(trained, task.cells).to(like.device)
        resp, sem = torch.zeros(2, code.shape[1], *shape_of_h(model, like), device=like.device)
        semantic: list[float] = []

        def loss(step: int) -> Tensor:
            rows = rng.integers(len(trained), size=self.batch)
            neutral, stated = self._prompts(task, [trained[row] for row in rows])
            t_resp, t_sem = (torch.tensordot(code[rows], part, dims=1) for part in (resp, self.lam * sem))
            noise = gaussian(rng, (self.batch, *like.shape[1:]), model)
            z, t = self._run(model, noise, int(rng.integers(self.steps)), neutral, t_resp + t_sem)
            with torch.no_grad():
                stated_eps, neutral_eps = (
                    model.predict(z, t, model.encode(texts)) for texts in (stated, neutral)
                )
            with added(model, t_resp):
                l_resp = _distance(model.predict(z, t, model.encode(neutral)), stated_eps)
            if not self.lam:
                return l_resp
            with added(model, t_resp.detach() + t_sem):
                l_sem = _distance(model.predict(z, t, model.encode(neutral)), neutral_eps)
            semantic.append(float(l_sem.detach()))
            return l_resp + l_sem

        total = train(
            [resp, sem], loss, steps=self._training_steps(task.cells), learning_rate=self.learning_rate
        )
        record = {"total": course(total)} | ({"semantic": course(semantic)} if semantic else {})
        vectors = resp + self.lam * sem
        return for_cells(task, vectors, scale=self.scale, scales=self.scales, record=record)

    def _prompts(self, task: Task, cells: Sequence[Cell]) -> tuple[list[str], list[str]]:
        """Neutral and stating prompts of a batch of cells; the concepts are drawn."""
        concepts = task.rng.choice(task.concepts, len(cells)).tolist()
        neutral = [fill(self.neutral, concept=concept) for concept in concepts]
        return neutral, [
            fill(self.stated, concept=c, cell=cell) for c, cell in zip(concepts, cells, strict=True)
        ]

    @torch.no_grad()
    def _run(
        self, model: EditableModel, z: Tensor, count: int, neutral: list[str], rows: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Latents after ``count`` steps of the edited model from the noise ``z``, and their timestep."""
        alphas = model.alphas_cumprod.to(z.dtype)
        grid = torch.linspace(len(alphas) - 1, 0, self.steps, device=z.device).round().long()
        for t, s in itertools.pairwise(grid[: count + 1]):
            with added(model, rows):
                e = model.predict(z, t.expand(len(z)), model.encode(neutral))
            if self.guidance != 1:
                uncond = model.predict(z, t.expand(len(z)), model.encode([""] * len(z)))
                e = uncond + self.guidance * (e - uncond)
            z = ddim_step(z, e, signal=alphas[t], next_signal=alphas[s])
        return z, grid[count].expand(len(z))


def _distance(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).float().pow(2).mean()
