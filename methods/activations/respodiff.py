"""RespoDiff: two vectors per group on the bottleneck, learned by score matching without images.

Vadakkeeveetil Sreelatha, Nag, Awais, Belongie, Dutta: "RespoDiff: Dual-Module Bottleneck Transformation for
Responsible & Faithful T2I Generation", arXiv 2509.15257 (NeurIPS 2025). Of every group one constant vector
``T_resp`` moves the bottleneck ``h`` towards it, and one, ``T_sem``, preserves the meaning of the neutral
prompt:

    z      from noise to a random step with the neutral prompt and h + T_resp + T_sem; no gradient
    target = eps(z, ""; h) + w (eps(z, stated; h) - eps(z, ""; h))
    L_resp = || eps(z, neutral; h + T_resp)         - target             ||^2     trains T_resp
    L_sem  = || eps(z, neutral; h + T_resp + T_sem) - eps(z, neutral; h) ||^2     trains T_sem

The target is guided by ``w = target_guidance``, as in the authors' code; the paper's formula is ``w = 1``.
``T_resp`` is a constant in ``L_sem``. An image that mentions a concept draws a cell from the target shares,
and ``T_resp + T_sem`` of its groups is added to ``h`` in the conditional half of guidance, at every step,
with a factor for each attribute (see :mod:`evenhand.methods.activations._mid_block`).

``L_sem`` alone is minimal at ``T_sem = -T_resp``: how far ``T_sem`` lags behind decides what remains of a
group. The steps of Adam do not depend on a constant factor of a loss while gradients are large against its
``eps``, so the weight of ``L_sem`` is left out, and the learning rate of ``T_sem`` sets the lag.

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
from evenhand.methods.shared.training import RandomState, Series, course, gaussian, one_thread, train
from evenhand.methods.space import Range, Space


def ddim_step(z: Tensor, e: Tensor, *, signal: Tensor, next_signal: Tensor) -> Tensor:
    """One deterministic DDIM step from ``abar_t = signal`` to ``abar_s = next_signal``."""
    clean = (z - (1 - signal).sqrt() * e) / signal.sqrt()
    return next_signal.sqrt() * clean + (1 - next_signal).sqrt() * e


class RespoDiff(Method):
    """RespoDiff's two vectors on the bottleneck; the defaults are the values of the authors' code.

    Attributes:
        neutral: Template of the neutral prompt, with ``{a}`` and ``{concept}`` if concepts are named.
        stated: Template of the prompt that states a group, with ``{a}`` and ``{noun}``, or ``{adjective}``
            and ``{concept}``.
        lessons: Whether vectors are learned on ``groups`` alone, as published, or on whole ``cells``.
        iterations: Largest number of training iterations for every group or cell.
        patience: Steps of Adam after which training stops unless the loss fell; 0 for all iterations.
        batch: Groups or cells per step.
        steps: Number of steps of a full run from noise to image; ``z`` is taken at a random one.
        guidance: Guidance scale of that run; 1 halves its passes.
        target_guidance: Guidance scale ``w`` of the target of the response loss; 1 saves a pass.
        learning_rate: Learning rate of ``T_resp``; published for race: 0.1.
        semantic_learning_rate: Learning rate of ``T_sem``; published: 0.001 for "a woman", 0.0001 for "a
            man", 0.01 for race. At 0 there is no ``T_sem``.
        scales: Factor by attribute, 1 by default; published for gender and race together: 1.1 and 0.9.
        scale: Factor of all added vectors; 1 as published.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="respodiff",
        version="2.0",
        title="RespoDiff",
        summary="Adds two learned vectors of a drawn group to the bottleneck, trained without images.",
        paper="https://arxiv.org/abs/2509.15257",
        licence="Apache-2.0",
        origin="VSSILPA/respodiff, MIT; reimplemented from the formulas",
        family="activations",
        architectures=("sd1", "sd2", "sdxl"),
        attributes="any that words can express, each group with its own vectors; joint cells with their sum",
    )
    intervention_type: ClassVar[type[Intervention]] = MidBlockIntervention
    strength: ClassVar[str | None] = "scale"
    training_length: ClassVar[tuple[str, ...]] = ("iterations",)

    neutral: str = "a person"
    stated: str = "{a} {noun}"
    lessons: Lessons = "groups"
    iterations: int = Field(default=5000, ge=1)
    patience: int = Field(default=0, ge=0)
    batch: int = Field(default=1, ge=1)
    steps: int = Field(default=50, ge=1)
    guidance: float = Field(default=3.0, ge=1)
    target_guidance: float = Field(default=4.0, ge=1)
    learning_rate: float = Field(default=0.01, gt=0)
    semantic_learning_rate: float = Field(default=0.001, ge=0)
    scales: Mapping[str, float] = {}
    scale: float = Field(default=1.0, ge=0)

    @classmethod
    def space(cls) -> Space:
        """How long and how fast both vectors learn, how far the target exaggerates, and their strength."""
        return {
            "iterations": Range(low=10, high=5000, log=True, integer=True),
            "target_guidance": Range(low=1.0, high=8.0),
            "learning_rate": Range(low=1e-3, high=0.2, log=True),
            "semantic_learning_rate": Range(low=1e-5, high=0.1, log=True),
            "scale": Range(low=0.25, high=2.0, log=True),
        }

    def budget(self, *, concepts: int, cells: Sequence[Cell]) -> Budget:
        """One image and one pass for the shapes; per row of a batch the longest run and the loss's passes."""
        rows = self._training_steps(cells) * self.batch
        run = (self.steps - 1) * (1 if self.guidance == 1 else 2)
        response = 2 if self.target_guidance == 1 else 3
        semantic = 2 if self.semantic_learning_rate else 0
        return Budget(images=1, evaluations=rows * (run + response + semantic) + 1, exact=False)

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
        resp, lagging = torch.zeros(2, code.shape[1], *shape_of_h(model, like), device=like.device)
        # Adam's steps have about the size of the learning rate, so this factor gives T_sem its own. It also
        # makes gradients smaller: where they are not large against Adam's eps, T_sem moves less than that
        # (half as far, with the published rates on mini).
        lag = self.semantic_learning_rate / self.learning_rate
        parts = Series()

        def loss(step: int) -> Tensor:
            rows = rng.integers(len(trained), size=self.batch)
            neutral, stated = self._prompts(task, [trained[row] for row in rows])
            t_resp, t_sem = (torch.tensordot(code[rows], part, dims=1) for part in (resp, lag * lagging))
            noise = gaussian(rng, (self.batch, *like.shape[1:]), model)
            z, t = self._run(model, noise, int(rng.integers(self.steps)), neutral, t_resp + t_sem)
            target = self._target(model, z, t, stated)
            with added(model, t_resp):
                l_resp = _distance(model.predict(z, t, model.encode(neutral)), target)
            l_sem = self._semantic_loss(model, z, t, neutral, t_resp.detach() + t_sem)
            parts.append([float(l_resp.detach()), float(l_sem.detach())])
            return l_resp + l_sem

        train(
            [resp, lagging],
            loss,
            steps=self._training_steps(task.cells),
            learning_rate=self.learning_rate,
            patience=self.patience,
            checkpoint=task.checkpoint,
            state=(RandomState(rng), parts),
            precision=model.unet.dtype,
        )
        l_resp, l_sem = zip(*parts, strict=True)
        record = {"response": course(l_resp), "semantic": course(l_sem)}
        return for_cells(task, resp + lag * lagging, scale=self.scale, scales=self.scales, record=record)

    def _prompts(self, task: Task, cells: Sequence[Cell]) -> tuple[list[str], list[str]]:
        """Neutral and stating prompts of a batch of cells; the concepts are drawn."""
        concepts = task.rng.choice(task.concepts, len(cells)).tolist()
        neutral = [fill(self.neutral, concept=concept) for concept in concepts]
        return neutral, [
            fill(self.stated, concept=c, cell=cell) for c, cell in zip(concepts, cells, strict=True)
        ]

    @torch.no_grad()
    def _target(self, model: EditableModel, z: Tensor, t: Tensor, stated: list[str]) -> Tensor:
        """The guided prediction of the unedited model for the stated groups."""
        e = model.predict(z, t, model.encode(stated))
        if self.target_guidance == 1:
            return e
        uncond = model.predict(z, t, model.unconditional(len(z)))
        return uncond + self.target_guidance * (e - uncond)

    def _semantic_loss(
        self, model: EditableModel, z: Tensor, t: Tensor, neutral: list[str], rows: Tensor
    ) -> Tensor:
        """``L_sem`` with ``rows`` added to ``h``; zero without ``T_sem``."""
        if not self.semantic_learning_rate:
            return torch.zeros((), device=z.device)
        text = model.encode(neutral)
        with torch.no_grad():
            unedited = model.predict(z, t, text)
        with added(model, rows):
            return _distance(model.predict(z, t, text), unedited)

    @torch.no_grad()
    def _run(
        self, model: EditableModel, z: Tensor, count: int, neutral: list[str], rows: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Latents after ``count`` steps of the edited model from the noise ``z``, and their timestep."""
        alphas = model.alphas_cumprod  # not in the precision of z: in bfloat16, 1 - abar would become 0
        grid = torch.linspace(len(alphas) - 1, 0, self.steps, device=z.device).round().long()
        for t, s in itertools.pairwise(grid[: count + 1]):
            with added(model, rows):
                e = model.predict(z, t.expand(len(z)), model.encode(neutral))
            if self.guidance != 1:
                uncond = model.predict(z, t.expand(len(z)), model.unconditional(len(z)))
                e = uncond + self.guidance * (e - uncond)
            z = ddim_step(z, e, signal=alphas[t], next_signal=alphas[s])
        return z, grid[count].expand(len(z))


def _distance(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).float().pow(2).mean()
