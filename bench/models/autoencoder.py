"""The autoencoder of a U-Net model: between images and the scaled latents that the U-Net denoises."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from evenhand.bench.models import memory
from evenhand.methods.base import Images


class Autoencoder:
    """Scales latents as the diffusers pipeline of the model does.

    Args:
        network: The autoencoder, a diffusers model. That of an SDXL model with ``force_upcast`` is converted
            from ``float16`` to ``float32``, because its activations overflow, which gives black images.
        family: Family of the model; the pipelines of SDXL alone read ``force_upcast`` and the mean and
            standard deviation of latents.
    """

    def __init__(self, network: Any, *, family: str) -> None:
        self.network = network
        self._statistics: tuple[Tensor, Tensor] | None = None
        config = network.config
        if family != "sdxl":
            return
        if network.dtype == torch.float16 and config.force_upcast:
            network.to(torch.float32)
        stated = config.get("latents_mean"), config.get("latents_std")
        if None not in stated:
            mean, std = (torch.tensor(values).view(1, -1, 1, 1).to(network.device) for values in stated)
            self._statistics = mean, std

    @torch.no_grad()
    def encode(self, images: Images) -> Tensor:
        """Scaled latents ``(n, c, h, w)`` of images: the posterior means.

        Encoded part by part, so that memory does not grow with the number of images.
        """
        count = memory.parts(len(images), height=images.shape[1], width=images.shape[2])
        return torch.cat([self._encode(part) for part in np.array_split(images, count)])

    def _encode(self, images: Images) -> Tensor:
        pixels = torch.from_numpy(images).to(self.network.device, self.network.dtype).permute(0, 3, 1, 2)
        latents: Tensor = self.network.encode(pixels / 127.5 - 1).latent_dist.mean
        factor: float = self.network.config.scaling_factor
        if self._statistics is None:
            return latents * factor
        mean, std = self._statistics
        return ((latents - mean) * factor / std).to(latents.dtype)

    def unscaled(self, latents: Tensor) -> Tensor:
        """Latents ``(n, c, h, w)`` as the decoder expects them, in its precision."""
        factor: float = self.network.config.scaling_factor
        dtype: torch.dtype = self.network.dtype
        if self._statistics is None:
            return latents.to(dtype) / factor
        mean, std = self._statistics
        return (latents * std / factor + mean).to(dtype)
