"""Images of a tiny model by Evenhand and by its own diffusers pipeline, from the same noise."""

import numpy as np
import torch
from diffusers import DiffusionPipeline
from helpers.families import PROTOCOL

from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler

PROMPTS, SEEDS = ["a photo of a nurse", "a CEO"], [3, 4]


def stock_images(folder, noise, *, dtype=torch.float32):
    """Images of the model's own pipeline as its users call it, on the given latents."""
    stock = DiffusionPipeline.from_pretrained(folder, use_safetensors=True, torch_dtype=dtype)
    stock.set_progress_bar_config(disable=True)
    return stock(
        PROMPTS,
        num_inference_steps=PROTOCOL.steps,
        guidance_scale=PROTOCOL.guidance,
        height=PROTOCOL.height,
        width=PROTOCOL.width,
        latents=noise.to(dtype),
        output_type="np",
    ).images


def drawn_and_stock(pipe, folder, *, solver, precision="float32"):
    pipe.save_pretrained(folder)
    model = load_model(str(folder), precision=precision, device="cpu")
    protocol = PROTOCOL.model_copy(update={"solver": solver, "precision": precision})
    noise = [torch.randn(4, 16, 16, generator=torch.Generator("cpu").manual_seed(seed)) for seed in SEEDS]
    expected = stock_images(folder, torch.stack(noise), dtype=model.unet.dtype)
    return Sampler(model, protocol)(PROMPTS, SEEDS).astype(int), np.round(expected * 255)
