"""InterpretDiffusion: one vector per group on the bottleneck, learned from images that the model generates.

Li, Shen, Torr, Tresp, Gu: "Self-Discovering Interpretable Diffusion Latent Directions for Responsible
Text-to-Image Generation", arXiv 2311.17216 (CVPR 2024), often called SDisc. Images ``x`` are generated with
prompts that state a group; the model then denoises them with a *neutral* prompt, which does not. A vector
``v_g``, added to ``h``, the output of the U-Net's mid block, learns to supply what is missing:

    v* = argmin_v E || eps - eps_theta(x_t, t, neutral; h + sum_(g in code(x)) v_g) ||^2

over images, noise ``eps`` and uniform timesteps ``t``; the networks are frozen. The code of an image says
which groups its prompt stated: the paper's bias-free linear map from a multi-hot code to ``h``. One vector
serves all timesteps.

An image that mentions a concept then draws a cell from the target, and the vectors of its groups are added to
``h`` in the conditional half of guidance, at every step (see :mod:`evenhand.methods.activations._mid_block`).

The paper learns each group from images of that group alone (``lessons="groups"``). With ``lessons="cells"``
the images show whole cells and the vectors of their groups are learned together, so that they fit their sum.
With one attribute both are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from evenhand.methods.activations._mid_block import (
    Lessons,
    MidBlockIntervention,
    added,
    codes,
    for_cells,
    shape_of_h,
    training_cells,
)
from evenhand.methods.base import Budget, Cell, Intervention, Method, MethodInfo, Task
from evenhand.methods.shared.prompt_text import fill
from evenhand.methods.shared.training import course, gaussian, noised, one_thread, random_timesteps, train
from evenhand.methods.space import Choice, Range, Space


class InterpretDiffusion(Method):
    """InterpretDiffusion's vectors on the bottleneck.

    Attributes:
        neutral: Template of the prompt with which images are denoised, with ``{a}`` and ``{concept}`` if the
            images show the concepts.
        stated: Template of the prompt that generates images of a group, with ``{a}`` and ``{noun}``, or
            ``{adjective}`` and ``{concept}``.
        lessons: Whether training images show ``groups`` alone, as published, or whole ``cells``.
        images: Images of every group or cell.
        epochs: Training steps times batch size, as a multiple of the number of images; images are drawn with
            replacement.
        batch: Images per training step.
        learning_rate: Learning rate of Adam.
        scale: Factor of the added vectors; 1 as published.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="interpret-diffusion",
        version="1.0",
        title="InterpretDiffusion",
        summary="Adds a learned vector of a drawn group to the bottleneck of the U-Net.",
        paper="https://arxiv.org/abs/2311.17216",
        licence="Apache-2.0",
        origin="hangligit/InterpretDiffusion, no licence at its root; reimplemented from the formulas",
        family="activations",
        architectures=("sd1", "sd2", "sdxl"),
        attributes="any that words can express, each group with its own vector; joint cells with their sum",
    )
    intervention_type: ClassVar[type[Intervention]] = MidBlockIntervention
    strength: ClassVar[str | None] = "scale"
    training_length: ClassVar[tuple[str, ...]] = ("images", "epochs")

    neutral: str = "a person"
    stated: str = "{a} {noun}"
    lessons: Lessons = "groups"
    images: int = Field(default=1000, ge=1)
    epochs: int = Field(default=20, ge=1)
    batch: int = Field(default=8, ge=1)
    learning_rate: float = Field(default=0.1, gt=0)
    scale: float = Field(default=1.0, ge=0)

    @classmethod
    def space(cls) -> Space:
        """What the vectors are learned from, for how long and how fast, and how strongly they act."""
        return {
            "lessons": Choice(("groups", "cells")),
            "images": Range(low=4, high=1000, log=True, integer=True),
            "epochs": Range(low=5, high=80, log=True, integer=True),
            "learning_rate": Range(low=3e-3, high=0.3, log=True),
            "scale": Range(low=0.5, high=2.0, log=True),
        }

    def budget(self, *, concepts: int, cells: Sequence[Cell]) -> Budget:
        """The images, every training step, and one pass to find the shape of ``h``."""
        images = len(training_cells(cells, self.lessons)) * self.images
        return Budget(images=images, evaluations=self._steps(images) * self.batch + 1)

    def _steps(self, images: int) -> int:
        return max(1, self.epochs * images // self.batch)

    @one_thread()
    def fit(self, task: Task) -> Intervention:
        """Generate images of every group or cell, learn the vectors, and add them up for every cell."""
        model, rng = task.model, task.rng
        trained = training_cells(task.cells, self.lessons)
        x, neutral = self._images(task, trained)
        code = codes(trained, task.cells).repeat_interleave(self.images, dim=0).to(x.device)
        v = torch.zeros(code.shape[1], *shape_of_h(model, x), device=x.device)

        def loss(step: int) -> Tensor:
            rows = rng.integers(len(x), size=self.batch)
            t = random_timesteps(rng, self.batch, model)
            eps = gaussian(rng, (self.batch, *x.shape[1:]), model)
            text = model.encode([neutral[row] for row in rows])
            with added(model, torch.tensordot(code[rows], v, dims=1)):
                predicted = model.predict(noised(model, x[rows], t, eps), t, text)
            return (eps - predicted).float().pow(2).mean()

        steps, precision = self._steps(len(x)), model.unet.dtype
        losses = train([v], loss, steps=steps, learning_rate=self.learning_rate, precision=precision)
        return for_cells(task, v, scale=self.scale, record=course(losses))

    def _images(self, task: Task, trained: Sequence[Cell]) -> tuple[Tensor, list[str]]:
        """Latents of images, group after group, and the neutral prompt of each; concepts take turns."""
        concepts = np.resize(task.concepts, self.images).tolist()
        prompts = [fill(self.stated, concept=c, cell=cell) for cell in trained for c in concepts]
        neutral = [fill(self.neutral, concept=c) for _ in trained for c in concepts]
        seeds = task.rng.integers(2**31, size=len(prompts)).tolist()
        return task.model.latents(task.sample(prompts, seeds)), neutral
