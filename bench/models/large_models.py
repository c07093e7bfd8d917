"""What lets large models fit a device and draw faster: quantization, offload, attention, compiled blocks.

These are choices of a protocol for models that are run as whole pipelines. They are carried out by diffusers,
accelerate, torchao and bitsandbytes; this module translates the protocol and says what is missing.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from evenhand.bench.errors import EvenhandError, NotInstalledError, unknown
from evenhand.bench.models.compilation import INDUCTOR, require_compiler
from evenhand.bench.models.pipelines import U_NETS
from evenhand.bench.suites.protocol import Offload, Protocol, Quantization

EXTRA = "evenhand[large]"

PACKAGES: Mapping[Quantization, str] = {"int8": "torchao", "float8": "torchao", "nf4": "bitsandbytes"}
"""The package that carries out each quantization."""

WEIGHT_BYTES: Mapping[Quantization, float] = {"int8": 1.0, "float8": 1.0, "nf4": 0.53}
"""Bytes per weight; four bits have an eight-bit scale for every 64 weights, with constants of their own."""


def is_quantized(part: str) -> bool:
    """Whether this part of a pipeline is quantized: transformers and text encoders are."""
    return part.startswith(("transformer", "text_encoder"))


def check_choices(
    kind: str, name: str, *, quantization: Quantization, offload: Offload, device: torch.device
) -> None:
    """Check what a protocol asks of a model, before its weights are loaded.

    Args:
        kind: Class of the pipeline.
        name: Name of the model.
        quantization: How the weights are stored.
        offload: Which weights wait in the main memory.
        device: The device that draws.

    Raises:
        EvenhandError: A package or an accelerator is missing, or the model is not run as a whole pipeline.
    """
    chosen = {"quantization": quantization, "offload": offload}
    for field, value in chosen.items():
        if value != "none" and kind in U_NETS:
            raise _only_whole(name, f'{field} = "{value}"', f'{field} = "none"')
    if offload != "none":
        _require("accelerate", f'offload = "{offload}"')
        if device.type == "cpu":
            raise EvenhandError(
                f'offload = "{offload}" keeps weights off an accelerator, and this machine has none; set '
                'offload = "none" in the protocol of the suite'
            )
    if quantization != "none":
        _require(PACKAGES[quantization], f'quantization = "{quantization}"')
        if quantization == "nf4" and device.type != "cuda":
            raise EvenhandError(
                'quantization = "nf4" needs an accelerator with CUDA, and this machine has none; set '
                'quantization = "int8" or "none" in the protocol of the suite'
            )


def _require(package: str, choice: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise NotInstalledError(f"{choice} needs the package {package}; run pip install '{EXTRA}'")


def _only_whole(name: str, choice: str, remedy: str) -> EvenhandError:
    return EvenhandError(
        f"model {name!r} has a U-Net, whose steps Evenhand runs itself, and {choice} is for models that are "
        f"run as whole pipelines; set {remedy} in the protocol of the suite"
    )


def check_u_net_protocol(protocol: Protocol, name: str) -> None:
    """Check that a protocol has no choice that is only for models that are run as whole pipelines.

    Raises:
        EvenhandError: It has one.
    """
    if protocol.compilation == "blocks":
        raise _only_whole(name, 'compilation = "blocks"', 'compilation = "whole" or "none"')
    if protocol.attention != "default":
        raise _only_whole(name, f'attention = "{protocol.attention}"', 'attention = "default"')


def quantized(folder: Path, quantization: Quantization, dtype: torch.dtype) -> dict[str, Any]:
    """Arguments of a pipeline's loader that quantize its large networks while they are read."""
    if quantization == "none":
        return {}
    import diffusers
    import transformers
    from diffusers.quantizers import PipelineQuantizationConfig

    mapping = {
        part.name: _settings(transformers if part.name.startswith("text") else diffusers, quantization, dtype)
        for part in sorted(folder.iterdir())
        if part.is_dir() and is_quantized(part.name)
    }
    return {"quantization_config": PipelineQuantizationConfig(quant_mapping=mapping)}


def _settings(library: Any, quantization: Quantization, dtype: torch.dtype) -> Any:
    """The settings of one network; diffusers and transformers have a class each of the same name."""
    if quantization == "nf4":
        return library.BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
        )
    from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig

    kind = Int8WeightOnlyConfig if quantization == "int8" else Float8WeightOnlyConfig
    return library.TorchAoConfig(kind())


def enable_offload(pipe: Any, offload: Offload, *, device: torch.device, name: str) -> None:
    """Let weights wait in the main memory until their network, or their layer, runs.

    Raises:
        EvenhandError: The pipeline does not state the order of its networks.
    """
    if offload == "layers":
        pipe.enable_group_offload(
            onload_device=device, offload_type="leaf_level", use_stream=torch.cuda.is_available()
        )
    elif offload == "model":
        if pipe.model_cpu_offload_seq is None:
            raise EvenhandError(
                f"model {name!r} does not state the order of its networks; set offload = "
                '"layers" or "none" in the protocol of the suite'
            )
        pipe.enable_model_cpu_offload(device=device)


def choose_attention(denoiser: Any, attention: str, *, name: str) -> None:
    """Let the attention of a transformer use the kernels of this name in diffusers.

    Raises:
        EvenhandError: There are none of this name, they cannot be used here, or the model has others.
    """
    from diffusers.models.attention_dispatch import AttentionBackendName, attention_backend

    processors: list[Any] = [getattr(part, "processor", None) for part in denoiser.modules()]
    chosen = [one._attention_backend for one in processors if hasattr(one, "_attention_backend")]
    if attention == "default":
        if any(chosen):
            denoiser.reset_attention_backend()
        return
    if not chosen:
        raise EvenhandError(
            f"diffusers does not let the attention of model {name!r} ({type(denoiser).__name__}) be chosen; "
            'set attention = "default" in the protocol of the suite'
        )
    known = [kernels.value for kernels in AttentionBackendName]
    if attention not in known:
        raise unknown("attention kernels", attention, [*known, "default"])
    try:
        # Setting them also makes them those of every other model; the context undoes this.
        with attention_backend("native"):
            denoiser.set_attention_backend(attention)
    except (RuntimeError, ValueError, ImportError) as fault:
        raise NotInstalledError(
            f'attention = "{attention}" cannot be used here ({str(fault).strip().splitlines()[0]}); install '
            'what is missing, or set attention = "default" in the protocol of the suite'
        ) from fault


def compile_blocks(denoiser: Any, *, name: str, device: torch.device, backend: str = INDUCTOR) -> None:
    """Compile the block that a transformer repeats: once instead of once per layer. It stays compiled.

    Raises:
        EvenhandError: The transformer repeats no block that diffusers names, or there is no compiler.
    """
    if not getattr(denoiser, "_repeated_blocks", None):
        raise EvenhandError(
            f"diffusers names no repeated block of model {name!r} ({type(denoiser).__name__}); set "
            'compilation = "none" in the protocol of the suite'
        )
    require_compiler(device, backend=backend)
    denoiser.compile_repeated_blocks(dynamic=False, backend=backend)
