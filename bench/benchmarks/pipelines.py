"""Pipelines with the published architectures and random weights, for benchmarks without downloads."""

from __future__ import annotations

from typing import Any, Literal

import torch

from evenhand.bench.models.loading import MINI
from evenhand.bench.models.unet import UNetModel

Family = Literal["sd1", "sdxl"]

SIZE = {"sd1": 512, "sdxl": 1024}
"""Native image size in pixels."""

TINY_SIZE = 32

TOKENS = 77


def random_model(family: Family, *, device: str, dtype: torch.dtype, tiny: bool) -> UNetModel:
    """A model with the published architecture of a family, or a tiny one, and random weights."""
    import diffusers

    torch.manual_seed(0)
    width = {"sd1": 32 if tiny else 768, "sdxl": 64 if tiny else 2048}[family]
    parts = {
        "vae": vae(tiny=tiny),
        "unet": unet(family, width, tiny=tiny),
        "scheduler": diffusers.DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            steps_offset=1,
        ),
        "tokenizer": _tokenizer(),
    }
    if family == "sd1":
        pipe = diffusers.StableDiffusionPipeline(
            **parts,
            text_encoder=text_encoder(width, 12, tiny=tiny),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    else:
        pipe = diffusers.StableDiffusionXLPipeline(
            **parts,
            text_encoder=text_encoder(32 if tiny else 768, 12, tiny=tiny),
            text_encoder_2=text_encoder(32 if tiny else 1280, 32, tiny=tiny, projected=True),
            tokenizer_2=_tokenizer(),
        )
    # Convert the networks first, so that a large model is never in memory twice.
    return UNetModel(
        pipe.to(device, dtype), name=f"random {family}", revision=f"random-{family}", device=device
    )


def _tokenizer() -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(MINI / "tokenizer", model_max_length=TOKENS)


def text_encoder(width: int, layers: int, *, tiny: bool, projected: bool = False) -> Any:
    """A CLIP text encoder, with the projection that SDXL's second one has, or without."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=2 if tiny else layers,
        num_attention_heads=max(1, width // 64),
        max_position_embeddings=TOKENS,
        projection_dim=width,
        bos_token_id=1108,
        eos_token_id=1109,
        pad_token_id=1109,
    )
    return CLIPTextModelWithProjection(config) if projected else CLIPTextModel(config)


def vae(*, tiny: bool, **more: Any) -> Any:
    """The autoencoder of Stable Diffusion 1 and XL, or one that differs in ``more``."""
    from diffusers import AutoencoderKL

    channels = (8, 16) if tiny else (128, 256, 512, 512)
    return AutoencoderKL(
        block_out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        layers_per_block=1 if tiny else 2,
        norm_num_groups=8 if tiny else 32,
        sample_size=512,
        **more,
    )


def unet(family: Family, width: int, *, tiny: bool) -> Any:
    """The U-Net with the published configuration; a tiny one has two blocks."""
    from diffusers import UNet2DConditionModel

    sizes: dict[str, Any] = {"sample_size": 64, "cross_attention_dim": width}
    if tiny:
        sizes |= {
            "block_out_channels": (16, 32),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
            "layers_per_block": 1,
            "norm_num_groups": 8,
            "attention_head_dim": 8,
        }
    elif family == "sdxl":
        sizes |= {
            "sample_size": 128,
            "block_out_channels": (320, 640, 1280),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "transformer_layers_per_block": [1, 2, 10],
            "attention_head_dim": [5, 10, 20],
            "use_linear_projection": True,
        }
    else:
        sizes |= {"attention_head_dim": 8}
    if family == "sdxl":
        pooled, time = (32, 8) if tiny else (1280, 256)
        sizes |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": time,
            "projection_class_embeddings_input_dim": 6 * time + pooled,
        }
    return UNet2DConditionModel(**sizes)
