"""Helpers for training: noised latents, draws from the task's stream, and one optimizer loop.

The denoising loss, on which most training rests, compares the model's prediction with the added noise:

    x_t = sqrt(abar_t) x + sqrt(1 - abar_t) eps        t uniform, eps ~ N(0, I)
    L   = mean || eps - eps_theta(x_t, t, text) ||^2

Source: Ho, Jain, Abbeel, "Denoising Diffusion Probabilistic Models", arXiv 2006.11239, equations 4 and 14.

Training is repeatable: every draw comes from the task's numpy stream. On the CPU it uses one thread, because
the number of threads changes the order of sums and so the last bits of every gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.methods.base import EditableModel


@contextmanager
def one_thread() -> Iterator[None]:
    """One CPU thread within the context or the decorated function; the number is restored afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def gaussian(rng: np.random.Generator, shape: Sequence[int], model: EditableModel) -> Tensor:
    """Standard normal noise of a shape, in the U-Net's precision and on its device."""
    noise = torch.from_numpy(rng.standard_normal(tuple(shape), dtype=np.float32))
    return noise.to(model.unet.device, model.unet.dtype)


def random_timesteps(rng: np.random.Generator, count: int, model: EditableModel) -> Tensor:
    """Training timesteps ``(count,)``, uniform over the model's noise schedule."""
    drawn = rng.integers(len(model.alphas_cumprod), size=count)
    return torch.from_numpy(drawn).to(model.unet.device)


def noised(model: EditableModel, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
    """``sqrt(abar_t) x + sqrt(1 - abar_t) eps``; latents and noise ``(n, c, h, w)``, timesteps ``(n,)``."""
    signal = model.alphas_cumprod[timesteps].view(-1, 1, 1, 1).to(latents.dtype)
    return signal.sqrt() * latents + (1 - signal).sqrt() * noise


def train(
    parameters: Sequence[Tensor],
    loss: Callable[[int], Tensor],
    *,
    steps: int,
    learning_rate: float | Callable[[int], float],
    decay: float = 0.0,
) -> list[float]:
    """Minimize a loss over ``parameters`` in place, with AdamW (Adam if ``decay`` is zero).

    A parameter on which the loss of a step does not depend is not changed in that step.

    Args:
        parameters: Tensors to train; they require gradients during training only.
        loss: Maps the number of a step to its loss, a scalar tensor.
        steps: Number of steps.
        learning_rate: Learning rate, above zero, or a function from the number of a step to it.
        decay: Decoupled weight decay.

    Returns:
        The loss at every step.

    Raises:
        EvenhandError: The loss is not finite.
    """
    trained = list(parameters)
    rate_at = learning_rate if callable(learning_rate) else lambda _: learning_rate
    losses = []
    with one_thread(), torch.enable_grad():
        for parameter in trained:
            parameter.requires_grad_(True)
        optimiser = torch.optim.AdamW(trained, lr=rate_at(0), weight_decay=decay)
        for step in range(steps):
            optimiser.param_groups[0]["lr"] = rate_at(step)
            optimiser.zero_grad(set_to_none=True)
            value = loss(step)
            losses.append(float(value.detach()))
            if not math.isfinite(losses[-1]):
                raise EvenhandError(
                    f"training diverged: loss {losses[-1]} at step {step}; lower the learning rate"
                )
            # mypy: torch leaves Tensor.backward untyped.
            value.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        for parameter in trained:
            parameter.requires_grad_(False)
            parameter.grad = None
    return losses


def course(losses: Sequence[float]) -> dict[str, float]:
    """Summary of the losses for a method's record: means over the first and the last tenth of the steps."""
    tenth = max(1, len(losses) // 10)
    return {
        "steps": len(losses),
        "first_loss": float(np.mean(losses[:tenth])),
        "last_loss": float(np.mean(losses[-tenth:])),
    }
