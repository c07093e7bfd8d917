"""Which pipelines can be benchmarked, why others cannot, and how guidance is passed to each."""

from types import SimpleNamespace

import diffusers
import pytest
from helpers.families import pipeline

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.pipelines import (
    check_class,
    check_guidance,
    check_pipeline,
    check_u_net,
    guidance_arguments,
    support,
)


def kind(name):
    return getattr(diffusers, f"{name}Pipeline")


@pytest.mark.parametrize(
    "name", ["Flux2", "Flux2Klein", "GlmImage", "ZImageOmni", "BriaFibo2", "HunyuanImage"]
)
def test_an_image_or_another_word_for_guidance_does_not_exclude_a_text_to_image_pipeline(name):
    assert support(kind(name)).runner == "transformer"
    check_pipeline(kind(name), "m")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("DDPM", "it takes no prompt"),
        ("Wan", "it generates videos"),
        ("AudioLDM2", "it generates sound"),
        ("FluxFill", "it needs more than a prompt: an image"),
        ("QwenImageEdit", "it needs more than a prompt: an image"),
        ("FluxControl", "it needs more than a prompt: control_image"),
        ("StableDiffusionAttendAndExcite", "it needs more than a prompt: token_indices"),
        ("IF", "its U-Net is not run as in Stable Diffusion, and Evenhand runs the steps of U-Nets itself"),
        (
            "StableCascadeCombined",
            "it has no single network that denoises, neither a transformer nor a U-Net",
        ),
        ("VQDiffusion", "its call does not take height, width"),
    ],
)
def test_a_refusal_says_why(name, reason):
    assert support(kind(name)).reason == reason
    with pytest.raises(
        EvenhandError, match=rf"^model 'm' is a {name}Pipeline, .* benchmarked: {reason}; use"
    ):
        check_pipeline(kind(name), "m")


def test_a_pipeline_that_diffusers_does_not_have_asks_for_a_later_version():
    check_class("StableDiffusionPipeline", "m")
    with pytest.raises(
        EvenhandError, match=r"Sd9Pipeline, which diffusers .* does not have; install a later"
    ):
        check_class("Sd9Pipeline", "m")


def test_a_pipeline_whose_packages_are_missing_says_so():
    class Kolors:
        __module__ = "diffusers.utils.dummy_torch_and_transformers_and_sentencepiece_objects"

    assert support(Kolors).reason == "it needs packages that are not installed"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Flux", {"guidance_scale": 4.0}),
        ("Sana", {"guidance_scale": 4.0}),
        ("QwenImage", {"true_cfg_scale": 4.0, "negative_prompt": " "}),
        ("HunyuanImage", {"distilled_guidance_scale": 4.0}),
        ("ZImage", {"guidance_scale": 3.0}),
        ("Flux2KleinKV", {}),
    ],
)
def test_guidance_is_passed_by_the_argument_that_applies_it(name, expected):
    assert guidance_arguments(kind(name), 4.0) == expected


def test_guidance_of_one_is_no_guidance():
    assert guidance_arguments(kind("QwenImage"), 1) == {"true_cfg_scale": 1}
    assert guidance_arguments(kind("ZImage"), 1) == {"guidance_scale": 0}


def made(name, *, guidance_embeds=None, is_distilled=False, guider=None):
    """A pipeline as its configuration describes it, without networks."""
    pipe = object.__new__(kind(name))
    parts = {
        "transformer": SimpleNamespace(config={"guidance_embeds": guidance_embeds}),
        "guider": guider,
        "_internal_dict": {"is_distilled": is_distilled},
    }
    vars(pipe).update(parts)
    return pipe


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("Flux", {"guidance_embeds": False}),
        ("Flux2Klein", {"guidance_embeds": False, "is_distilled": True}),
        ("Flux2KleinKV", {}),
        ("HunyuanImage", {"guidance_embeds": False}),
    ],
)
def test_a_model_that_was_distilled_to_draw_without_guidance_refuses_it(name, settings):
    pipe = made(name, **settings)
    check_guidance(pipe, 1, name="m")
    with pytest.raises(
        EvenhandError, match="does not support guidance, got 3 in the protocol; set guidance = 1"
    ):
        check_guidance(pipe, 3, name="m")


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("Flux", {"guidance_embeds": True}),
        ("Flux2Klein", {"guidance_embeds": False}),
        ("QwenImage", {"guidance_embeds": False}),
        ("Bria", {"guidance_embeds": False}),
        ("HunyuanImage", {"guidance_embeds": True}),
    ],
)
def test_other_models_accept_guidance(name, settings):
    check_guidance(made(name, **settings), 3, name="m")


def test_guidance_that_is_a_part_of_the_model_cannot_be_set():
    pipe = made("HunyuanImage", guidance_embeds=False, guider=object())
    with pytest.raises(EvenhandError, match="in its part 'guider', which no protocol can change"):
        check_guidance(pipe, 3, name="m")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"in_channels": 9}, "reads 9 channels, of which noise has 4"),
        ({"time_cond_proj_dim": 8}, "guidance scale"),
    ],
)
def test_a_u_net_that_needs_more_than_noise_and_text_is_refused(settings, reason):
    pipe = pipeline("sd1")
    check_u_net(pipe, "m")
    pipe.unet.register_to_config(**settings)
    with pytest.raises(EvenhandError, match=rf"model 'm' cannot be benchmarked: its U-Net .*{reason}"):
        check_u_net(pipe, "m")
