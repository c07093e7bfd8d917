"""Images through the autoencoder of the bundled model, and how well it knows them."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from PIL import Image

from evenhand.bench.mini import ROOT
from evenhand.metrics.judges.base import Images

BATCH = 16
"""Batch size of the autoencoder; larger batches are slower on a CPU."""

SIDE = 64
"""Height and width of the images of the bundled model, in pixels."""


def autoencoder_version() -> str:
    """The start of the SHA-256 of the autoencoder's weights."""
    weights = ROOT / "pipeline" / "vae" / "diffusion_pytorch_model.safetensors"
    return hashlib.sha256(weights.read_bytes()).hexdigest()[:12]


@torch.inference_mode()
def through_autoencoder(images: Images) -> Images:
    """Encode and decode images with the autoencoder of the bundled model, without noise, in float32."""
    network = AutoencoderKL.from_pretrained(ROOT / "pipeline" / "vae").float().eval()
    network = network.to(memory_format=torch.channels_last)
    parts = []
    for start in range(0, len(images), BATCH):
        pixels = torch.from_numpy(images[start : start + BATCH]).movedim(-1, 1) / 127.5 - 1
        decoded = network.decode(network.encode(pixels).latent_dist.mode()).sample
        parts.append((decoded.clamp(-1, 1) * 127.5 + 127.5).round().byte().movedim(1, -1).numpy())
    return np.concatenate(parts)


def reconstruction_error(images: Images) -> NDArray[np.float64]:
    """Root mean square difference of images from themselves through the autoencoder, in grey levels.

    The autoencoder saw only renders of the mini world. It hardly changes those and images of the bundled
    model, and it changes photographs very much.
    """
    if images.shape[1:3] != (SIDE, SIDE):
        images = np.stack([np.asarray(Image.fromarray(image).resize((SIDE, SIDE))) for image in images])
    difference = through_autoencoder(images) - images.astype(np.float64)
    error: NDArray[np.float64] = np.sqrt(np.square(difference).mean(axis=(1, 2, 3)))
    return error
