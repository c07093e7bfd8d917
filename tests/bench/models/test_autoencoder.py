"""Latents are scaled, and half precision is left, as the pipelines of diffusers do."""

import numpy as np
import pytest
import torch
from helpers.families import pipeline
from helpers.stock_images import drawn_and_stock

from evenhand.bench.models.loading import load_model


def test_an_sdxl_model_with_scaled_latents_equals_its_stock_pipeline_and_encodes_its_images(tmp_path):
    pipe = pipeline("sdxl")
    pipe.vae.register_to_config(latents_mean=[-1.6, 1.2, 0.4, -2.6], latents_std=[8.5, 5.9, 6.5, 5.0])
    drawn, stock = drawn_and_stock(pipe, tmp_path, solver="ddim")
    assert np.abs(drawn - stock).max() <= 1
    autoencoder = load_model(str(tmp_path), device="cpu").autoencoder
    latents = autoencoder.encode(drawn.astype(np.uint8))
    pixels = torch.from_numpy(drawn).permute(0, 3, 1, 2) / 127.5 - 1
    expected = autoencoder.network.encode(pixels).latent_dist.mean
    torch.testing.assert_close(autoencoder.unscaled(latents), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("forced", [True, False])
def test_an_sdxl_autoencoder_that_overflows_in_half_precision_is_upcast_as_its_configuration_says(
    forced, tmp_path
):
    pipe = pipeline("sdxl")
    pipe.vae.register_to_config(force_upcast=forced)
    with torch.no_grad():
        # The next normalization undoes the factor, unless the activations are infinite.
        pipe.vae.decoder.conv_in.weight *= 1e5
    drawn, stock = drawn_and_stock(pipe, tmp_path, solver="ddim", precision="float16")
    if forced:
        assert drawn.std() > 5
        assert np.abs(drawn - stock).max() <= 1
    else:
        assert (drawn == 0).all()
