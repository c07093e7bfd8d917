"""Solvers of the denoising loop: the protocol chooses the solver, the model keeps its noise schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from evenhand.bench.errors import EvenhandError


@dataclass(frozen=True)
class Solver:
    """A solver that a protocol can choose.

    Attributes:
        scheduler: Its class in diffusers.
        settings: What it is, whatever the model's own scheduler says; all else is taken from there.
    """

    scheduler: str
    settings: Mapping[str, object] = field(default_factory=dict)


SOLVERS: Mapping[str, Solver] = {
    # The algorithms of the class whose names begin with sde draw noise that no seed decides.
    "dpmsolver++": Solver("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    # By default this class clips to [-1, 1], which is for pixels: latents are unbounded.
    "ddim": Solver("DDIMScheduler", {"clip_sample": False}),
    "euler": Solver("EulerDiscreteScheduler"),
    "lms": Solver("LMSDiscreteScheduler"),
    "pndm": Solver("PNDMScheduler"),
    "unipc": Solver("UniPCMultistepScheduler"),
}

PREDICTIONS = ("epsilon", "v_prediction")
"""What the U-Net may predict: the noise, or the velocity."""

OTHER_MODEL = "use a model with the noise schedule of Stable Diffusion"

SIGNAL_TOLERANCE = 1e-6
"""Largest difference between equal schedules: some classes replace a last signal of 0 by 6e-8."""


def solver_of(scheduler: Any, name: str, *, model: str) -> Any:
    """The solver of a protocol with the noise schedule of a model.

    Args:
        scheduler: The model's own scheduler.
        name: One of :data:`SOLVERS`.
        model: Name of the model.

    Raises:
        EvenhandError: The model has a noise schedule that no solver or not this one supports, or its
            scheduler has settings that contradict each other.
    """
    check_scheduler(scheduler, model=model)
    solver = _created(scheduler, name, model=model)
    if _same_schedule(solver, scheduler):
        return solver
    others = [other for other in SOLVERS if _supports(scheduler, other, model=model)]
    zero = " (zero terminal SNR)" if scheduler.config.get("rescale_betas_zero_snr") else ""
    remedy = (
        f"set solver to one of {', '.join(others)} in the protocol of the suite" if others else OTHER_MODEL
    )
    raise EvenhandError(
        f"solver {name!r} does not support the noise schedule of model {model!r}{zero}; "
        f"{remedy if others else OTHER_MODEL}"
    )


def check_scheduler(scheduler: Any, *, model: str) -> None:
    """Check that a model was trained on the process that all solvers assume.

    Raises:
        EvenhandError: It was trained on another one.
    """
    config, kind = scheduler.config, type(scheduler).__name__
    predicted = config.get("prediction_type", "epsilon")
    if not isinstance(getattr(scheduler, "alphas_cumprod", None), torch.Tensor):
        reason = "which states its noise levels in another form (as EDM and flow matching do)"
    elif config.get("timestep_type") == "continuous":
        reason = "whose timesteps are continuous (EDM)"
    elif config.get("use_flow_sigmas"):
        reason = "whose noise levels are those of flow matching"
    elif config.get("rescale_betas_zero_snr") and scheduler.alphas_cumprod[-1] > SIGNAL_TOLERANCE:
        reason = "which ignores its setting rescale_betas_zero_snr"
    elif predicted not in PREDICTIONS:
        reason = f"for a network that predicts {predicted!r}, not one of {', '.join(PREDICTIONS)}"
    else:
        return
    raise EvenhandError(
        f"model {model!r} has the scheduler {kind}, {reason}, and no solver of a protocol supports that; "
        f"{OTHER_MODEL}"
    )


def _created(scheduler: Any, name: str, *, model: str) -> Any:
    import diffusers

    solver = SOLVERS[name]
    try:
        return getattr(diffusers, solver.scheduler).from_config(scheduler.config, **solver.settings)
    except (ImportError, RuntimeError, TypeError, ValueError) as fault:
        reason = (str(fault).strip() or type(fault).__name__).splitlines()[0]
        raise EvenhandError(
            f"solver {name!r} cannot have the settings of the scheduler of model {model!r} "
            f"({reason[:200]}); correct its scheduler/scheduler_config.json, or "
            "set another solver in the protocol of the suite"
        ) from fault


def _supports(scheduler: Any, name: str, *, model: str) -> bool:
    try:
        return _same_schedule(_created(scheduler, name, model=model), scheduler)
    except EvenhandError:
        return False


def _same_schedule(solver: Any, scheduler: Any) -> bool:
    ours, theirs = solver.alphas_cumprod, scheduler.alphas_cumprod
    return ours.shape == theirs.shape and torch.allclose(ours, theirs, rtol=0, atol=SIGNAL_TOLERANCE)
