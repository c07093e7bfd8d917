"""Low-rank updates of a network's projections (LoRA), created and merged with peft.

``W' = W + B A`` with ``A`` ``(r, d)`` random and ``B`` ``(m, r)`` initially zero, so nothing changes before
training. Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", arXiv 2106.09685, section
4.1; ``alpha / r`` is one here. ``A`` and ``B`` are in ``float32`` whatever the precision of the networks:
``bfloat16`` would lose most of Adam's small steps, and ``float16`` overflows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evenhand.bench.errors import EvenhandError

PROJECTIONS = {
    "unet": ("to_q", "to_k", "to_v", "to_out.0"),
    "text_encoder": ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"),
}
"""Attention projections of a diffusers U-Net, and attention and MLP projections of a CLIP text encoder."""


class LowRank:
    """Updates of several networks; within :func:`low_rank` they are part of the networks."""

    def __init__(self, tuners: Mapping[str, Any], rng: np.random.Generator) -> None:
        """Draw ``A`` from the method's own random stream.

        Args:
            tuners: Part of the model to its LoRA model in peft.
            rng: Draws ``A``, uniform within ``1 / sqrt(d)`` of zero, the distribution that peft uses.
        """
        self._tuners = tuners
        for layer in self._layers().values():
            layer.lora_A.float()
            layer.lora_B.float()
            a = layer.lora_A["default"].weight
            bound = a.shape[1] ** -0.5
            a.data.copy_(torch.from_numpy(rng.uniform(-bound, bound, size=tuple(a.shape))))

    def parameters(self) -> list[Tensor]:
        """Every ``A`` and ``B``."""
        layers = self._layers().values()
        return [
            x for layer in layers for x in (layer.lora_A["default"].weight, layer.lora_B["default"].weight)
        ]

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """Within the context the networks run without the updates."""
        with ExitStack() as stack:
            for tuner in self._tuners.values():
                tuner.disable_adapter_layers()
                stack.callback(tuner.enable_adapter_layers)
            yield

    @torch.no_grad()
    def merged(self) -> dict[str, Tensor]:
        """``W + B A`` of every projection, by the name and in the precision of the model's weight."""
        return {
            f"{name}.weight": (weight + layer.get_delta_weight("default")).to(weight.dtype).clone()
            for name, layer in self._layers().items()
            for weight in [layer.base_layer.weight]
        }

    def _layers(self) -> dict[str, Any]:
        return {
            f"{part}.{name}": module
            for part, tuner in self._tuners.items()
            for name, module in tuner.model.named_modules()
            if hasattr(module, "lora_A")
        }


@contextmanager
def low_rank(networks: Mapping[str, Any], *, rank: int, rng: np.random.Generator) -> Iterator[LowRank]:
    """Within the context the networks carry updates; afterwards they are unchanged.

    Args:
        networks: ``unet``, ``text_encoder`` or ``text_encoder_2`` to the network.
        rank: Rank ``r`` of every update.
        rng: Draws their initial values.

    Raises:
        EvenhandError: peft is not installed.
    """
    try:
        from peft import LoraConfig, LoraModel
    except ImportError as fault:
        raise EvenhandError(
            "low-rank training needs the package peft; pip install 'evenhand[training]'"
        ) from fault
    with ExitStack() as stack:
        tuners = {}
        for part, network in networks.items():
            names: Sequence[str] = PROJECTIONS[part.removesuffix("_2")]
            config = LoraConfig(r=rank, lora_alpha=rank, target_modules=list(names))
            # The initial values that peft draws are replaced; torch's global stream must not move.
            with torch.random.fork_rng(devices=[]):
                tuners[part] = LoraModel(network, config, "default")
            stack.callback(tuners[part].unload)
        yield LowRank(tuners, rng)
