"""Single-file checkpoints: all weights of a pipeline in one file, as ComfyUI and A1111 read them.

The file has neither the configuration nor the tokenizer. Both come from a diffusers folder: the one of the
same name beside the file, or the one on the hub that the architecture was released with. Only for models that
were trained in another way than the release, the file may say so, by empty tensors with agreed names.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.solvers import OTHER_MODEL
from evenhand.bench.models.sources import INDEX, Source, configuration, read_index
from evenhand.metrics.vision.hub import HubName, snapshot
from evenhand.metrics.vision.loaded_weights import require_loaded

PICKLED = (".ckpt", ".pt", ".pth", ".bin")

CONFIGURATION_FILES = ("*.json", "*.txt", "*.model")
"""Patterns of the files that are downloaded for a checkpoint: a few megabytes, no weights."""

RELEASED = {
    "StableDiffusionPipeline": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "StableDiffusionXLPipeline": "stabilityai/stable-diffusion-xl-base-1.0",
}
"""Pipeline class to a repository with the configuration of its released checkpoints."""

VELOCITY, ZERO_SNR = "v_pred", "ztsnr"
"""Names of empty tensors: the U-Net predicts velocities; its noise schedule ends without signal."""

EDM = ("edm_mean", "edm_std", "edm_vpred.sigma_max", "edm_vpred.sigma_min")
"""Names of tensors of models that were trained on the noise levels of EDM."""

SD2_WIDTH = 1024
"""Width of the text states of Stable Diffusion 2."""


def is_checkpoint(path: Path) -> bool:
    """Whether a path is that of a single file with weights, not of a folder."""
    return path.suffix in (".safetensors", *PICKLED) and not path.is_dir()


def checkpoint_source(path: Path) -> Source:
    """The files of a single-file checkpoint and of its configuration.

    Raises:
        EvenhandError: The file is missing, damaged or pickled, or of an unknown architecture; or its
            configuration is neither beside it, nor cached, nor reachable; or the model was trained as EDM.
    """
    if not path.is_file():
        raise EvenhandError(f"model file {str(path)!r} does not exist; check the path")
    if path.suffix in PICKLED:
        raise EvenhandError(
            f"model file {str(path)!r} is pickled and could run code; convert it to .safetensors first"
        )
    names, width = _tensors(path)
    pipeline = _architecture(names, path)
    root = path.with_suffix("")
    if not (root / INDEX).is_file():
        if width == SD2_WIDTH:
            raise EvenhandError(
                f"model file {str(path)!r} is a Stable Diffusion 2 and does not say if it predicts noise "
                f"or velocities; put the configuration of its release, a diffusers folder, at {str(root)!r}"
            )
        root = snapshot(HubName(RELEASED[pipeline]), CONFIGURATION_FILES, what="model")
    if read_index(root).get("_class_name") != pipeline:
        raise EvenhandError(
            f"model file {str(path)!r} is a {pipeline}, but {str(root / INDEX)!r} is not of one"
        )
    return Source(root, configuration(root), checkpoint=path)


def load_checkpoint(source: Source, **options: Any) -> Any:
    """The diffusers pipeline of a single-file checkpoint.

    Args:
        source: See :func:`checkpoint_source`.
        options: Options of diffusers.

    Raises:
        EvenhandError: The file lacks weights of a part.
    """
    import diffusers

    kind = getattr(diffusers, read_index(source.root)["_class_name"])
    pipe = kind.from_single_file(
        str(source.checkpoint), config=str(source.root), local_files_only=True, **options
    )
    for network in pipe.components.values():
        if isinstance(network, torch.nn.Module) and source.checkpoint is not None:
            require_loaded(network, source.checkpoint)
    if source.checkpoint is not None and (settings := _trained_as(source.checkpoint)):
        # The class of the SDXL releases, because that of the configuration may not have these settings.
        scheduler = diffusers.EulerDiscreteScheduler.from_config(pipe.scheduler.config, **settings)
        pipe.register_modules(scheduler=scheduler)
    return pipe


def _trained_as(path: Path) -> dict[str, object]:
    """What the file says about the training: settings of a scheduler, which replace the release's."""
    names, _ = _tensors(path)
    settings: dict[str, object] = {}
    if VELOCITY in names:
        settings["prediction_type"] = "v_prediction"
    if ZERO_SNR in names:
        # Other spacings do not start at the last timestep, the only one without signal.
        settings |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    return settings


def _tensors(path: Path) -> tuple[set[str], int]:
    """Names of all tensors, and width of the text states in the cross-attention."""
    try:
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
            keys = sorted(name for name in names if name.endswith("attn2.to_k.weight"))
            return names, file.get_slice(keys[0]).get_shape()[1] if keys else 0
    except (OSError, SafetensorError) as fault:
        raise EvenhandError(
            f"model file {str(path)!r} cannot be read ({fault}); download it again"
        ) from fault


def _architecture(names: Collection[str], path: Path) -> str:
    """Name of the pipeline class."""
    if edm := next((name for name in EDM if name in names), None):
        raise EvenhandError(
            f"model file {str(path)!r} was trained on the noise levels of EDM (it has the tensor {edm}), "
            f"which no solver of a protocol supports; {OTHER_MODEL}"
        )
    if "model.diffusion_model.input_blocks.0.0.weight" in names:
        if any(name.startswith("conditioner.embedders.1.") for name in names):
            return "StableDiffusionXLPipeline"
        if any(name.startswith("cond_stage_model.") for name in names):
            return "StableDiffusionPipeline"
    raise EvenhandError(
        f"model file {str(path)!r} is not a complete checkpoint of Stable Diffusion 1, 2 or XL; give the "
        "model as a diffusers folder or a hub id"
    )
