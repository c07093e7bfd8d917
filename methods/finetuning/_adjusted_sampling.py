"""Differentiable sampling: adjusted direct finetuning.

Section 4.2 of Shen et al., "Finetuning Text-to-Image Diffusion Models for Fairness", ICLR 2024, arXiv
2311.07604. A gradient through the whole chain of denoising steps multiplies their Jacobians and explodes.
Here the latents are detached before every pass of the U-Net, so the gradient reaches the parameters through
the noise predictions only, and the contribution of each step is equalized: the gradient at the prediction of
timestep ``t`` is multiplied by

    c_t = sqrt(abar_t) sqrt(1 - abar_t) / (1 - alpha_t),        alpha_t = abar_t / abar_(t-1)

the inverse of the weight of the prediction in ancestral sampling, scaled to a geometric mean of one over the
steps.

Every pass of the U-Net and the decoder are recomputed in the backward pass, so that memory does not grow with
the steps; these passes are counted, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from evenhand.methods.base import EditableModel, TextStates


def solver(model: EditableModel, steps: int) -> Any:
    """DPM-Solver++ on the model's noise schedule, set to ``steps`` steps; the model predicts noise."""
    from diffusers import DPMSolverMultistepScheduler

    # A model's own scheduler may be stochastic, which would make the fit random.
    fixed = {"prediction_type": "epsilon", "algorithm_type": "dpmsolver++"}
    scheduler = DPMSolverMultistepScheduler.from_config(model.scheduler.config, **fixed)
    scheduler.set_timesteps(steps, device=model.unet.device)
    return scheduler


def coefficients(alphas_cumprod: Tensor, timesteps: Sequence[int]) -> list[float]:
    """``c_t`` of the timesteps, with geometric mean one."""
    bars = alphas_cumprod.double().cpu().numpy()
    alphas = bars / np.concatenate([[1.0], bars[:-1]])
    at = list(timesteps)
    found = np.sqrt(bars[at] * (1 - bars[at])) / (1 - alphas[at])
    return [float(value) for value in found / np.exp(np.log(found).mean())]


def sample(
    model: EditableModel, noise: Tensor, text: TextStates, uncond: TextStates, *, steps: int, guidance: float
) -> Tensor:
    """Noise-free latents ``(n, c, h, w)``, with adjusted gradients for the networks and the text states.

    Args:
        model: Predicts the noise.
        noise: ``(n, c, h, w)``, standard normal.
        text: States of ``n`` prompts.
        uncond: States of ``n`` empty prompts.
        steps: Denoising steps.
        guidance: Scale of classifier-free guidance; at 1 the empty prompt is not evaluated.
    """
    scheduler = solver(model, steps)
    timesteps = [int(t) for t in scheduler.timesteps]
    prompts = text if guidance == 1 else joined(uncond, text)
    latents = noise * scheduler.init_noise_sigma
    for t, factor in zip(timesteps, coefficients(model.alphas_cumprod, timesteps), strict=True):
        seen = scheduler.scale_model_input(latents.detach(), t)
        rows = seen if guidance == 1 else torch.cat([seen, seen])
        at = torch.full((len(rows),), t, device=noise.device)
        predict = partial(_predicted, model, prompts)
        predicted = checkpoint(predict, rows, at, prompts.states, use_reentrant=False)
        if guidance != 1:
            e_uncond, e_text = predicted.chunk(2)
            predicted = e_uncond + guidance * (e_text - e_uncond)
        guided = scaled_gradient(predicted, factor)
        latents = scheduler.step(guided, t, latents).prev_sample
    result: Tensor = latents
    return result


def decode(model: EditableModel, latents: Tensor) -> Tensor:
    """Images ``(n, 3, height, width)`` of latents, about ``[-1, 1]``, with gradients; four at a time."""
    parts = [
        checkpoint(lambda x: model.vae.decode(x).sample, chunk, use_reentrant=False)
        for chunk in torch.split(model.unscaled(latents), 4)
    ]
    return torch.cat(parts)


def scaled_gradient(value: Tensor, factor: float) -> Tensor:
    """``value``, with its gradient multiplied by ``factor``."""
    if value.requires_grad:
        # mypy: torch leaves Tensor.register_hook untyped.
        value.register_hook(lambda gradient: factor * gradient)  # type: ignore[no-untyped-call]
    return value


def joined(first: TextStates, second: TextStates) -> TextStates:
    """Text states of ``2n`` prompts."""
    pooled = None
    if first.pooled is not None and second.pooled is not None:
        pooled = torch.cat([first.pooled, second.pooled])
    eos = torch.cat([first.first_eos, second.first_eos])
    return TextStates(torch.cat([first.states, second.states]), eos, pooled)


def _predicted(
    model: EditableModel, text: TextStates, latents: Tensor, timesteps: Tensor, states: Tensor
) -> Tensor:
    return model.predict(latents, timesteps, TextStates(states, text.first_eos, text.pooled))
