"""Helpers for training: noised latents, draws from the task's stream, and one optimizer loop.

The denoising loss, on which most training rests, compares the model's prediction with the added noise:

    x_t = sqrt(abar_t) x + sqrt(1 - abar_t) eps        t uniform, eps ~ N(0, I)
    L   = mean || eps - eps_theta(x_t, t, text) ||^2

Source: Ho, Jain, Abbeel, "Denoising Diffusion Probabilistic Models", arXiv 2006.11239, equations 4 and 14.

Training is repeatable: every draw comes from the task's numpy stream. On the CPU it uses one thread, because
the number of threads changes the order of sums and so the last bits of every gradient. With a checkpoint it
can be resumed: an interrupted training continues at the last saved step and ends with the same parameters.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.methods.base import EditableModel
from evenhand.methods.services import Checkpoint

_log = logging.getLogger(__name__)

_SMALLEST_SCALE = 2.0**-10
"""Smallest scale of the loss; gradients that overflow even below it are not finite at any scale."""


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
    signal, level = signal_and_noise(model.alphas_cumprod[timesteps], latents.dtype)
    return signal * latents + level * noise


def signal_and_noise(alphas_cumprod: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """``sqrt(abar)`` and ``sqrt(1 - abar)`` ``(n, 1, 1, 1)`` of values ``(n,)`` of the noise schedule."""
    bars = alphas_cumprod.view(-1, 1, 1, 1)
    # Rounded last: in bfloat16, 1 - abar would be 0 at the first timesteps.
    return bars.sqrt().to(dtype), (1 - bars).sqrt().to(dtype)


class Stateful(Protocol):
    """What changes during a training besides its parameters, and is saved with them."""

    def state_dict(self) -> Mapping[str, Any]:
        """The state, as tensors and JSON values."""
        ...

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Restore a state."""
        ...


@dataclass(frozen=True)
class RandomState:
    """The position of a random stream, as state of a training."""

    rng: np.random.Generator

    def state_dict(self) -> Mapping[str, Any]:
        """The position as JSON text, because its numbers exceed 64 bits."""
        return {"state": json.dumps(self.rng.bit_generator.state)}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Restore a position."""
        self.rng.bit_generator.state = json.loads(state["state"])


class Series(list[list[float]]):
    """Numbers recorded at every step, as state of a training."""

    def state_dict(self) -> Mapping[str, Any]:
        """All rows."""
        return {"rows": [list(row) for row in self]}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Replace all rows."""
        self[:] = state["rows"]


def train(
    parameters: Sequence[Tensor],
    loss: Callable[[int], Tensor],
    *,
    steps: int,
    learning_rate: float | Callable[[int], float],
    decay: float = 0.0,
    patience: int = 0,
    after_step: Callable[[], None] = lambda: None,
    checkpoint: Checkpoint | None = None,
    state: Sequence[Stateful] = (),
    precision: torch.dtype = torch.float32,
) -> list[float]:
    """Minimize a loss over ``parameters`` in place, with AdamW (Adam if ``decay`` is zero).

    A parameter on which the loss of a step does not depend is not changed in that step.

    Args:
        parameters: Tensors to train; they require gradients during training only.
        loss: Maps the number of a step to its loss, a scalar tensor.
        steps: Largest number of steps.
        learning_rate: Learning rate, above zero, or a function from the number of a step to it.
        decay: Decoupled weight decay.
        patience: Steps after which the training stops unless the loss fell; see :func:`converged`.
        after_step: Called after every update of the parameters.
        checkpoint: Saves the training and restores an interrupted one; ``None`` to train in one piece.
        state: What else the loss changes, such as its random stream; saved with the parameters.
        precision: Precision of the networks that the gradients pass. In ``float16`` most gradients would be
            rounded to zero, so the loss is scaled before the backward pass and its gradients are scaled back;
            a step whose gradients overflow changes nothing and lowers the scale.

    Returns:
        The loss at every step.

    Raises:
        EvenhandError: The loss is not finite, or in ``float16`` the gradients are not at any scale.
    """
    trained = list(parameters)
    rate_at = learning_rate if callable(learning_rate) else lambda _: learning_rate
    with one_thread(), torch.enable_grad(), _with_gradients(trained):
        optimiser = torch.optim.AdamW(trained, lr=rate_at(0), weight_decay=decay)
        scaler = torch.amp.GradScaler(trained[0].device.type, enabled=precision == torch.float16)
        scale: tuple[Stateful, ...] = (scaler,) if scaler.is_enabled() else ()
        saved = _Saved(trained, (optimiser, *state, *scale), checkpoint)
        losses = saved.restore()
        while len(losses) < steps and not converged(losses, patience):
            optimiser.param_groups[0]["lr"] = rate_at(len(losses))
            optimiser.zero_grad(set_to_none=True)
            value = loss(len(losses))
            losses.append(_finite(value, len(losses)))
            # mypy: torch leaves Tensor.backward untyped.
            scaler.scale(value).backward()  # type: ignore[no-untyped-call]
            scaler.step(optimiser)
            scaler.update()
            _require_gradients(scaler, optimiser, step=len(losses), last=len(losses) == steps)
            after_step()
            saved.save(losses)
            if len(losses) % max(1, steps // 20) == 0:
                _log.info("step %d of %d: loss %.4g", len(losses), steps, losses[-1])
    return losses


@contextmanager
def _with_gradients(parameters: Sequence[Tensor]) -> Iterator[None]:
    """The parameters require gradients within the context, however it ends."""
    for parameter in parameters:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(False)
            parameter.grad = None


def converged(losses: Sequence[float], patience: int) -> bool:
    """Whether the last ``patience`` losses are on average at least as large as the ``patience`` before them.

    Only looks at multiples of ``patience`` steps. Never with a ``patience`` of zero.
    """
    if not patience or len(losses) < 2 * patience or len(losses) % patience:
        return False
    return float(np.mean(losses[-patience:])) >= float(np.mean(losses[-2 * patience : -patience]))


@dataclass(frozen=True)
class _Saved:
    """Saves the state of a training to a checkpoint, if there is one, and restores it."""

    parameters: Sequence[Tensor]
    state: Sequence[Stateful]
    checkpoint: Checkpoint | None

    def save(self, losses: Sequence[float]) -> None:
        if self.checkpoint is not None and self.checkpoint.due():
            self.checkpoint.save(
                {
                    "losses": list(losses),
                    "parameters": [parameter.detach() for parameter in self.parameters],
                    "state": [part.state_dict() for part in self.state],
                }
            )

    @torch.no_grad()
    def restore(self) -> list[float]:
        """The losses so far; empty for a new training."""
        found = self.checkpoint.load() if self.checkpoint is not None else None
        if found is None:
            return []
        for parameter, value in zip(self.parameters, found["parameters"], strict=True):
            parameter.copy_(value)
        for part, values in zip(self.state, found["state"], strict=True):
            part.load_state_dict(values)
        _log.info("training resumes after step %d", len(found["losses"]))
        return list(found["losses"])


def _finite(value: Tensor, step: int) -> float:
    number = float(value.detach())
    if not math.isfinite(number):
        raise EvenhandError(f"training diverged: loss {number} at step {step}; lower the learning rate")
    return number


def _require_gradients(
    scaler: torch.amp.GradScaler, optimiser: torch.optim.Optimizer, *, step: int, last: bool
) -> None:
    """Check that a training in ``float16`` has a scale at which its gradients are finite."""
    if not scaler.is_enabled():
        return
    # The optimizer has no state until its first step.
    if scaler.get_scale() < _SMALLEST_SCALE or (last and not optimiser.state):
        raise EvenhandError(
            f"training diverged: the gradients in float16 are not finite at step {step}; set "
            'precision = "bfloat16" or "float32" in the protocol of the suite, or lower the learning rate'
        )


def course(losses: Sequence[float]) -> dict[str, float]:
    """Summary of the losses for a method's record: means over the first and the last tenth of the steps."""
    tenth = max(1, len(losses) // 10)
    return {
        "steps": len(losses),
        "first_loss": float(np.mean(losses[:tenth])),
        "last_loss": float(np.mean(losses[-tenth:])),
    }


def curve(losses: Sequence[float], *, points: int = 20) -> list[float]:
    """Means of at most ``points`` consecutive parts of the losses, for a method's record."""
    return [float(part.mean()) for part in np.array_split(np.asarray(losses), min(points, len(losses)))]
