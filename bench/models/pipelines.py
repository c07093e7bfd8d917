"""Which pipelines of diffusers can be benchmarked, and how they take the guidance scale of a protocol.

The answer is computed from the signature of a pipeline's call, so that it holds for pipelines of later
releases of diffusers too. ``docs/pipelines.md`` lists the answers for the release that it names.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from evenhand.bench.errors import EvenhandError

Runner = Literal["U-Net", "video", "transformer"]
"""What runs a pipeline: the sampler of U-Net models, the one of videos, or the pipeline itself."""

U_NETS: Mapping[str, Runner] = {
    "StableDiffusionPipeline": "U-Net",
    "StableDiffusionXLPipeline": "U-Net",
    "TextToVideoSDPipeline": "video",
}

ASKED = ("prompt", "height", "width", "num_inference_steps", "generator", "output_type")
"""Arguments that a pipeline must have."""

GUIDANCE = ("guidance_scale", "true_cfg_scale", "distilled_guidance_scale")
"""Arguments for the guidance scale."""

ABOVE_ZERO = ("ZImagePipeline", "ZImageOmniPipeline", "Krea2Pipeline")
"""Pipelines that compute ``cond + s (cond - uncond)``: their ``s = 0`` is the guidance scale 1 of others."""

EDITING = (
    *("Adapter", "Control", "Edit", "Fill", "GLIGEN", "Inpaint", "Layered", "Refiner", "SuperResolution"),
    *("Upscale", "2Img", "2Pix"),
)
"""Parts of the names of pipelines that need an image, whatever the defaults of their arguments say."""

OWN_REASONS = {
    "AmusedPipeline": "it draws the tokens of a whole batch with one random generator, so that an image "
    "depends on its batch",
    "Cosmos2TextToImagePipeline": "it always runs a safety checker that replaces images, which would bias "
    "all counts",
}


@dataclass(frozen=True)
class Support:
    """How the pipelines of a class are run.

    Attributes:
        runner: What runs them; ``None`` if nothing does.
        reason: Why they are refused; empty if they are not.
        guidance: The argument for the guidance scale; empty if there is none, or if Evenhand runs the steps.
    """

    runner: Runner | None
    reason: str = ""
    guidance: str = ""


def support(kind: type) -> Support:
    """How pipelines of this class are run, or why they are refused."""
    reason = _reason(kind)
    if reason:
        return Support(None, reason)
    if kind.__name__ in U_NETS:
        return Support(U_NETS[kind.__name__])
    return Support("transformer", guidance=_guidance(_arguments(kind)))


def _reason(kind: type) -> str:
    """Why pipelines of this class are refused; empty if they are not."""
    name, known, parts = kind.__name__, _arguments(kind), _parameters(kind)
    if name in U_NETS:
        return ""
    if "dummy" in kind.__module__:
        return "it needs packages that are not installed"
    if "prompt" not in known:
        return "it takes no prompt"
    if "Video" in name or any("frames" in a or "video" in a for a in known):
        return "it generates videos"
    if "Audio" in name or any("audio" in argument for argument in known):
        return "it generates sound"
    needed = [argument for argument, p in known.items() if p.default is p.empty and argument != "prompt"]
    needed += [argument for argument in known if argument.startswith("control_image")]
    if needed or any(word in name for word in EDITING):
        return f"it needs more than a prompt: {', '.join(needed or ['an image'])}"
    if "unet" in parts:
        return "its U-Net is not run as in Stable Diffusion, and Evenhand runs the steps of U-Nets itself"
    if "transformer" not in parts:
        return "it has no single network that denoises, neither a transformer nor a U-Net"
    if missing := [argument for argument in ASKED if argument not in known]:
        return f"its call does not take {', '.join(missing)}"
    return OWN_REASONS.get(name, "")


def _arguments(kind: Any) -> Mapping[str, inspect.Parameter]:
    return _parameters(kind.__call__)


def _parameters(function: Any) -> dict[str, inspect.Parameter]:
    variable = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    parameters = inspect.signature(function).parameters.items()
    return {name: p for name, p in parameters if name != "self" and p.kind not in variable}


def _guidance(known: Mapping[str, inspect.Parameter]) -> str:
    """The argument for the guidance scale; of several, the one with a default.

    ``FluxPipeline`` has a default ``guidance_scale``, and a ``true_cfg_scale`` of 1 that adds a second
    guidance; ``guidance_scale`` of ``QwenImagePipeline`` is unused by all released models, and ``None``.
    """
    stated = [argument for argument in GUIDANCE if argument in known]
    return next((argument for argument in stated if known[argument].default is not None), "".join(stated[:1]))


def guidance_arguments(kind: type, guidance: float) -> dict[str, Any]:
    """The guidance scale of a protocol as arguments of a pipeline of this class.

    Args:
        kind: A class that is run as a whole pipeline.
        guidance: The factor of ``cond - uncond`` beyond ``uncond``; 1 is no guidance.
    """
    argument = support(kind).guidance
    if argument == "true_cfg_scale":
        # Without a negative prompt, these pipelines silently leave out the guidance; theirs is a space.
        return {argument: guidance} | ({"negative_prompt": " "} if guidance > 1 else {})
    if not argument:
        return {}
    return {argument: guidance - 1 if kind.__name__ in ABOVE_ZERO else guidance}


def check_pipeline(kind: type, name: str) -> None:
    """Check that pipelines of this class can be benchmarked.

    Raises:
        EvenhandError: They cannot; says why.
    """
    if reason := support(kind).reason:
        raise EvenhandError(
            f"model {name!r} is a {kind.__name__}, which cannot be benchmarked: {reason}; use a Stable "
            "Diffusion 1.x, 2.x, SDXL or text-to-video pipeline, or a text-to-image pipeline with a "
            "transformer"
        )


def check_class(kind: str, name: str) -> None:
    """As :func:`check_pipeline`, for the name of a class, before its weights are loaded."""
    import diffusers

    if not hasattr(diffusers, kind):
        raise EvenhandError(
            f"model {name!r} is a {kind}, which diffusers {diffusers.__version__} does not have; install a "
            "later version"
        )
    check_pipeline(getattr(diffusers, kind), name)


def check_u_net(pipe: Any, name: str) -> None:
    """Check that the U-Net denoises from a text and noise alone.

    Raises:
        EvenhandError: It does not; says why.
    """
    config, latents = pipe.unet.config, pipe.vae.config.latent_channels
    if config.get("time_cond_proj_dim") is not None:
        reason = "its U-Net reads the guidance scale, as those of latent consistency models"
    elif config.in_channels != latents:
        reason = f"its U-Net reads {config.in_channels} channels, of which noise has {latents}"
    else:
        return
    raise EvenhandError(
        f"model {name!r} cannot be benchmarked: {reason}; use the model that it was made from"
    )


def check_guidance(pipe: Any, guidance: float, *, name: str) -> None:
    """Check that a pipeline can apply the guidance scale of a protocol.

    Raises:
        EvenhandError: It was distilled to draw without guidance, or does not let it be set.
    """
    argument, known = support(type(pipe)).guidance, _arguments(type(pipe))
    # Beside another argument for guidance, `guidance_scale` is only an input of the network.
    is_input = argument == "distilled_guidance_scale" or (
        argument == "guidance_scale" and "true_cfg_scale" in known
    )
    is_read = pipe.transformer.config.get("guidance_embeds") is not False
    if argument == "distilled_guidance_scale" and not is_read and getattr(pipe, "guider", None) is not None:
        raise EvenhandError(
            f"model {name!r} states its guidance in its part 'guider', which no protocol can change; use the "
            "distilled version of the model"
        )
    distilled = pipe.config.get("is_distilled") or not argument or (is_input and not is_read)
    if distilled and guidance != 1:
        raise EvenhandError(
            f"model {name!r} does not support guidance, got {guidance:g} in the protocol; set guidance = 1"
        )
