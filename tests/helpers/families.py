"""Tiny random pipelines in the real formats of SD 1.x, SD 2.x, SDXL and text-to-video."""

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    TextToVideoSDPipeline,
    UNet2DConditionModel,
    UNet3DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from evenhand.bench.models.loading import MINI
from evenhand.bench.suites.suite import Protocol

PROTOCOL = Protocol(version="t", solver="ddim", steps=2, guidance=3.0, width=32, height=32, batch=2)
WIDTH = {"sd1": 32, "sd2": 1024, "sdxl": 64}


NOISE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "steps_offset": 1,
}

SCHEDULERS = {
    "sd1": ("pndm", PNDMScheduler(**NOISE, skip_prk_steps=True, set_alpha_to_one=False)),
    "sd2": (
        "ddim",
        DDIMScheduler(**NOISE, clip_sample=False, set_alpha_to_one=False, prediction_type="v_prediction"),
    ),
    "sdxl": (
        "euler",
        EulerDiscreteScheduler(**NOISE, timestep_spacing="leading", interpolation_type="linear"),
    ),
}
"""The solvers of the releases of Stable Diffusion 1.4, 2.1 and XL, with their settings."""


def text_encoder(width, kind=CLIPTextModel, *, length=24):
    config = CLIPTextConfig(
        vocab_size=1110,
        hidden_size=width,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=length,
        projection_dim=width,
        bos_token_id=1108,
        eos_token_id=1109,
        pad_token_id=1109,
    )
    return kind(config)


def unet(width, **more):
    return UNet2DConditionModel(
        sample_size=16,
        layers_per_block=1,
        block_out_channels=(32, 64),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=width,
        attention_head_dim=8,
        norm_num_groups=8,
        **more,
    )


def video_unet():
    return UNet3DConditionModel(
        sample_size=16,
        layers_per_block=1,
        block_out_channels=(32, 64),
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        cross_attention_dim=32,
        attention_head_dim=8,
        norm_num_groups=8,
    )


def released_pipeline(family):
    """A tiny pipeline with the configuration flags of the release."""
    pipe = pipeline(family)
    pipe.register_modules(scheduler=SCHEDULERS[family][1])
    return pipe


def pipeline(family):
    torch.manual_seed(0)
    vae = AutoencoderKL(
        block_out_channels=(16, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=8,
        sample_size=32,
    )
    scheduler = DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1)
    tokenizer = CLIPTokenizer.from_pretrained(MINI / "tokenizer")
    parts = {"vae": vae, "scheduler": scheduler, "tokenizer": tokenizer}
    if family == "sdxl":
        pooled = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8}
        return StableDiffusionXLPipeline(
            **parts,
            unet=unet(64, projection_class_embeddings_input_dim=6 * 8 + 32, **pooled),
            text_encoder=text_encoder(32),
            text_encoder_2=text_encoder(32, CLIPTextModelWithProjection),
            tokenizer_2=tokenizer,
            add_watermarker=False,
        )
    if family == "video":
        return TextToVideoSDPipeline(**parts, unet=video_unet(), text_encoder=text_encoder(32))
    return StableDiffusionPipeline(
        **parts,
        unet=unet(WIDTH[family]),
        text_encoder=text_encoder(WIDTH[family]),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def saved(family, tmp_path_factory):
    """A new folder with the tiny pipeline of a family."""
    folder = tmp_path_factory.mktemp(family)
    pipeline(family).save_pretrained(folder)
    return folder
