"""Published architectures of full-size models, for benchmarks that need no weights.

The networks are made on the current device of torch; on ``meta``, they have shapes and no values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from evenhand.bench.benchmarks.pipelines import TOKENS, text_encoder, unet, vae

Make = Callable[[], Any]
"""Makes a network on the current device."""

Inputs = Callable[[int], Mapping[str, Any]]
"""Number of rows to the arguments of a denoiser."""

VAE = partial(vae, tiny=False)
VAE_16 = partial(VAE, latent_channels=16, use_quant_conv=False, use_post_quant_conv=False)


@dataclass(frozen=True)
class Architecture:
    """The networks of a model.

    Attributes:
        name: Name in the table.
        side: Side of its images in pixels.
        denoiser: Makes the U-Net or the transformer.
        inputs: Its arguments.
        encoders: Make the text encoders.
        decoder: Makes the autoencoder.
        channels: Channels of its latents.
        rows: Rows of the denoiser per image: two with classifier-free guidance.
        upcast: Whether the autoencoder computes in 32 bits, as SDXL's configuration asks for.
        video: Whether the autoencoder is one of videos, with an axis of frames.
    """

    name: str
    side: int
    denoiser: Make
    inputs: Inputs
    encoders: tuple[Make, ...]
    decoder: Make = VAE
    channels: int = 4
    rows: int = 2
    upcast: bool = False
    video: bool = False

    @property
    def quantizable(self) -> bool:
        """Whether a protocol can quantize it: models with a transformer."""
        return self.channels == 16

    def latents(self, images: int) -> Tensor:
        """Latents of this many images, for the autoencoder."""
        shape = (images, self.channels, *(1,) * self.video, self.side // 8, self.side // 8)
        return torch.randn(shape)


def _sd1(rows: int) -> Mapping[str, Any]:
    states = torch.randn(rows, TOKENS, 768)
    return {
        "sample": torch.randn(rows, 4, 64, 64),
        "timestep": torch.ones(rows),
        "encoder_hidden_states": states,
    }


def _sdxl(rows: int) -> Mapping[str, Any]:
    return {
        "sample": torch.randn(rows, 4, 128, 128),
        "timestep": torch.ones(rows),
        "encoder_hidden_states": torch.randn(rows, TOKENS, 2048),
        "added_cond_kwargs": {"text_embeds": torch.randn(rows, 1280), "time_ids": torch.ones(rows, 6)},
    }


def _sd35(rows: int) -> Mapping[str, Any]:
    return {
        "hidden_states": torch.randn(rows, 16, 128, 128),
        "timestep": torch.ones(rows),
        "encoder_hidden_states": torch.randn(rows, TOKENS + 256, 4096),
        "pooled_projections": torch.randn(rows, 2048),
    }


def _flux(rows: int) -> Mapping[str, Any]:
    return {
        "hidden_states": torch.randn(rows, 64 * 64, 64),
        "timestep": torch.ones(rows),
        "guidance": torch.ones(rows),
        "encoder_hidden_states": torch.randn(rows, 512, 4096),
        "pooled_projections": torch.randn(rows, 768),
        "txt_ids": torch.zeros(512, 3),
        "img_ids": torch.zeros(64 * 64, 3),
    }


def _qwen(rows: int) -> Mapping[str, Any]:
    return {
        "hidden_states": torch.randn(rows, 64 * 64, 64),
        "timestep": torch.ones(rows),
        "encoder_hidden_states": torch.randn(rows, 512, 3584),
        "img_shapes": [[(1, 64, 64)]] * rows,
    }


def _z_image(rows: int) -> Mapping[str, Any]:
    return {
        "x": [torch.randn(16, 1, 128, 128) for _ in range(rows)],
        "t": torch.ones(rows),
        "cap_feats": [torch.randn(512, 2560) for _ in range(rows)],
    }


def _sd35_transformer() -> Any:
    from diffusers import SD3Transformer2DModel

    return SD3Transformer2DModel(
        num_layers=38,
        num_attention_heads=38,
        caption_projection_dim=2432,
        joint_attention_dim=4096,
        pooled_projection_dim=2048,
        pos_embed_max_size=192,
        out_channels=16,
        qk_norm="rms_norm",
    )


def _flux_transformer() -> Any:
    from diffusers import FluxTransformer2DModel

    return FluxTransformer2DModel(guidance_embeds=True)


def _qwen_transformer() -> Any:
    from diffusers import QwenImageTransformer2DModel

    return QwenImageTransformer2DModel()


def _z_image_transformer() -> Any:
    from diffusers import ZImageTransformer2DModel

    return ZImageTransformer2DModel()


def _t5() -> Any:
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(
            vocab_size=32128,
            d_model=4096,
            d_kv=64,
            d_ff=10240,
            num_layers=24,
            num_heads=64,
            feed_forward_proj="gated-gelu",
        )
    )


def _qwen_vae() -> Any:
    from diffusers import AutoencoderKLQwenImage

    return AutoencoderKLQwenImage()


def qwen25_vl() -> Any:
    """Qwen2.5-VL with seven billion weights: the text encoder of Qwen-Image, and a judge."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    text = {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
    }
    config = Qwen2_5_VLConfig(text_config=text, vision_config={"hidden_size": 1280, "out_hidden_size": 3584})
    return Qwen2_5_VLForConditionalGeneration(config)


def _qwen3() -> Any:
    from transformers import Qwen3Config, Qwen3Model

    config = Qwen3Config(
        vocab_size=151936,
        hidden_size=2560,
        intermediate_size=9728,
        num_hidden_layers=36,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
    )
    return Qwen3Model(config)


CLIP_L = partial(text_encoder, 768, 12, tiny=False)
CLIP_G = partial(text_encoder, 1280, 32, tiny=False, projected=True)

ARCHITECTURES = (
    Architecture("Stable Diffusion 1.5", 512, partial(unet, "sd1", 768, tiny=False), _sd1, (CLIP_L,)),
    Architecture(
        "Stable Diffusion XL",
        1024,
        partial(unet, "sdxl", 2048, tiny=False),
        _sdxl,
        (CLIP_L, CLIP_G),
        upcast=True,
    ),
    Architecture(
        "Stable Diffusion 3.5 Large",
        1024,
        _sd35_transformer,
        _sd35,
        (CLIP_L, CLIP_G, _t5),
        decoder=VAE_16,
        channels=16,
    ),
    Architecture(
        "FLUX.1-dev", 1024, _flux_transformer, _flux, (CLIP_L, _t5), decoder=VAE_16, channels=16, rows=1
    ),
    Architecture("Z-Image", 1024, _z_image_transformer, _z_image, (_qwen3,), decoder=VAE_16, channels=16),
    Architecture(
        "Qwen-Image",
        1024,
        _qwen_transformer,
        _qwen,
        (qwen25_vl,),
        decoder=_qwen_vae,
        channels=16,
        video=True,
    ),
)
