"""The protocol chooses the solver, and the model its noise schedule; no other combination draws an image."""

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    PNDMScheduler,
)
from helpers.families import NOISE, PROTOCOL, pipeline
from helpers.stock_images import PROMPTS, SEEDS, drawn_and_stock

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.models.solvers import SOLVERS, solver_of

ZERO_SNR = {**NOISE, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
WITH_ZERO_SNR = ("dpmsolver++", "ddim", "euler", "unipc")


def with_scheduler(scheduler, family="sd2"):
    pipe = pipeline(family)
    pipe.register_modules(scheduler=scheduler)
    return pipe


@pytest.mark.parametrize("algorithm", ["sde-dpmsolver++", "dpmsolver"])
def test_images_depend_only_on_seeds_whatever_algorithm_the_model_states(tmp_path, algorithm):
    stated = DPMSolverMultistepScheduler(**NOISE, algorithm_type=algorithm, final_sigmas_type="sigma_min")
    with_scheduler(stated).save_pretrained(tmp_path / "stated")
    plain = DPMSolverMultistepScheduler(**NOISE, final_sigmas_type="sigma_min")
    with_scheduler(plain).save_pretrained(tmp_path / "plain")
    protocol = PROTOCOL.model_copy(update={"solver": "dpmsolver++", "steps": 3})
    drawn = []
    for name in ("stated", "stated", "plain"):
        drawn.append(Sampler(load_model(str(tmp_path / name), device="cpu"), protocol)(PROMPTS, SEEDS))
    assert np.array_equal(drawn[0], drawn[1])
    assert np.array_equal(drawn[0], drawn[2])


@pytest.mark.parametrize("kind", [EulerAncestralDiscreteScheduler, DDPMScheduler])
@pytest.mark.parametrize("name", SOLVERS)
def test_the_solver_of_the_protocol_replaces_a_stochastic_one_and_keeps_its_noise_schedule(kind, name):
    own = kind(**NOISE, prediction_type="v_prediction")
    solver = solver_of(own, name, model="m")
    assert type(solver).__name__ == SOLVERS[name].scheduler
    assert torch.equal(solver.alphas_cumprod, own.alphas_cumprod)
    assert solver.config.prediction_type == "v_prediction"


def test_latents_of_a_model_that_does_not_clip_are_not_clipped():
    assert solver_of(EulerDiscreteScheduler(**NOISE), "ddim", model="m").config.clip_sample is False


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ddim", DDIMScheduler),
        ("euler", EulerDiscreteScheduler),
        ("dpmsolver++", DPMSolverMultistepScheduler),
    ],
)
def test_images_of_a_zero_terminal_snr_model_equal_those_of_its_own_pipeline(name, kind, tmp_path):
    scheduler = kind(**ZERO_SNR, prediction_type="v_prediction")
    if name == "ddim":
        scheduler.register_to_config(clip_sample=False)
    drawn, stock = drawn_and_stock(with_scheduler(scheduler), tmp_path, solver=name)
    assert drawn.std() > 5
    assert np.abs(drawn - stock).max() <= 1


@pytest.mark.parametrize("name", WITH_ZERO_SNR)
def test_a_zero_terminal_snr_schedule_and_its_spacing_are_kept(name):
    solver = solver_of(DDIMScheduler(**ZERO_SNR, prediction_type="v_prediction"), name, model="m")
    solver.set_timesteps(4)
    assert solver.alphas_cumprod[-1] < 1e-6
    assert int(solver.timesteps[0]) == 999


@pytest.mark.parametrize("name", sorted({*SOLVERS} - {*WITH_ZERO_SNR}))
def test_a_solver_without_zero_terminal_snr_is_refused_and_the_others_are_named(name):
    scheduler = DDIMScheduler(**ZERO_SNR, prediction_type="v_prediction")
    with pytest.raises(EvenhandError) as caught:
        solver_of(scheduler, name, model="m")
    assert str(caught.value) == (
        f"solver {name!r} does not support the noise schedule of model 'm' (zero terminal SNR); set solver "
        "to one of dpmsolver++, ddim, euler, unipc in the protocol of the suite"
    )


UNSUPPORTED = {
    "EDM": EDMDPMSolverMultistepScheduler(),
    "EDM velocities": EDMDPMSolverMultistepScheduler(prediction_type="v_prediction"),
    "EDM Euler": EDMEulerScheduler(),
    "flow matching": FlowMatchEulerDiscreteScheduler(),
    "flow levels": DPMSolverMultistepScheduler(**NOISE, use_flow_sigmas=True),
    "continuous": EulerDiscreteScheduler(
        **NOISE, timestep_type="continuous", prediction_type="v_prediction", sigma_min=0.002, sigma_max=120.0
    ),
    "images predicted": DDIMScheduler(**NOISE, prediction_type="sample"),
}


@pytest.mark.parametrize("process", UNSUPPORTED)
def test_a_model_of_another_process_is_refused_in_one_line_when_it_is_loaded(process, tmp_path):
    scheduler = UNSUPPORTED[process]
    folder = tmp_path / "model"
    with_scheduler(scheduler).save_pretrained(folder)
    with pytest.raises(EvenhandError) as caught:
        load_model(str(folder), device="cpu")
    said = str(caught.value)
    assert said.startswith(f"model {str(folder)!r} has the scheduler {type(scheduler).__name__}, ")
    assert said.endswith("use a model with the noise schedule of Stable Diffusion") and "\n" not in said
    with pytest.raises(EvenhandError, match="has the scheduler"):
        solver_of(scheduler, "dpmsolver++", model="m")


def test_a_setting_that_the_class_of_the_model_ignores_is_refused():
    scheduler = PNDMScheduler(**NOISE)
    scheduler.register_to_config(rescale_betas_zero_snr=True)
    with pytest.raises(
        EvenhandError, match="PNDMScheduler, which ignores its setting rescale_betas_zero_snr"
    ):
        solver_of(scheduler, "pndm", model="m")


def test_a_schedule_that_no_solver_has_is_refused():
    scheduler = DDPMScheduler(beta_schedule="sigmoid")
    with pytest.raises(EvenhandError, match=r"solver 'euler' cannot have the settings .*sigmoid") as caught:
        solver_of(scheduler, "euler", model="m")
    assert "\n" not in str(caught.value)
