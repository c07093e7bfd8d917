"""Tiny random text-to-image pipelines with a transformer, in their real formats."""

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLQwenImage,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    PixArtAlphaPipeline,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from helpers.families import text_encoder
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from evenhand.bench.models.loading import MINI

KINDS = {
    "sd3": StableDiffusion3Pipeline,
    "flux": FluxPipeline,
    "flux without guidance": FluxPipeline,
    "pixart alpha": PixArtAlphaPipeline,
    "pixart sigma": PixArtSigmaPipeline,
    "qwen": QwenImagePipeline,
}

T5_LENGTH, CLIP_LENGTH, QWEN_LENGTH = 110, 77, 512
SIDE = 32
"""Side length in pixels; the autoencoder halves it to a native latent of 16."""


def t5_tokenizer():
    """One token per letter, and an end-of-text token."""
    signs = ["<pad>", "</s>", "<unk>", "▁", *(chr(code) for code in range(33, 127))]
    letters = Tokenizer(models.Unigram([(sign, -1.0) for sign in signs], unk_id=2))
    letters.pre_tokenizer = pre_tokenizers.Metaspace()
    letters.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return T5TokenizerFast(tokenizer_object=letters, extra_ids=0, model_max_length=T5_LENGTH)


def t5_encoder():
    config = T5Config(vocab_size=128, d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=4)
    return T5EncoderModel(config)


def clip_tokenizer():
    return CLIPTokenizer.from_pretrained(MINI / "tokenizer", model_max_length=CLIP_LENGTH)


def clip_encoder(kind):
    return text_encoder(32, kind, length=CLIP_LENGTH)


def vae(channels):
    return AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        latent_channels=channels,
        sample_size=SIDE,
        shift_factor=0.1,
        scaling_factor=0.5,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def sd3():
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=16,
            patch_size=2,
            in_channels=4,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=4,
            joint_attention_dim=64,
            caption_projection_dim=32,
            pooled_projection_dim=64,
            out_channels=4,
            pos_embed_max_size=8,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae(4),
        text_encoder=clip_encoder(CLIPTextModelWithProjection),
        tokenizer=clip_tokenizer(),
        text_encoder_2=clip_encoder(CLIPTextModelWithProjection),
        tokenizer_2=clip_tokenizer(),
        text_encoder_3=T5EncoderModel(
            T5Config(vocab_size=128, d_model=64, d_kv=8, d_ff=32, num_layers=1, num_heads=4)
        ),
        tokenizer_3=t5_tokenizer(),
    )


def flux(guidance_embeds=True, *, layers=1):
    return FluxPipeline(
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=layers,
            num_single_layers=layers,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=32,
            guidance_embeds=guidance_embeds,
            axes_dims_rope=(4, 4, 8),
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=vae(4),
        text_encoder=clip_encoder(CLIPTextModel),
        tokenizer=clip_tokenizer(),
        text_encoder_2=t5_encoder(),
        tokenizer_2=t5_tokenizer(),
    )


def pixart(kind):
    return kind(
        transformer=PixArtTransformer2DModel(
            sample_size=16,
            num_layers=1,
            patch_size=2,
            attention_head_dim=8,
            num_attention_heads=4,
            caption_channels=32,
            in_channels=4,
            cross_attention_dim=32,
            out_channels=8,
            use_additional_conditions=False,
        ),
        scheduler=DPMSolverMultistepScheduler(),
        vae=vae(4),
        text_encoder=t5_encoder(),
        tokenizer=t5_tokenizer(),
    )


def qwen_encoder():
    text = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16}
    rotary = {"mrope_section": [1, 1, 2], "rope_type": "default", "rope_theta": 1e6}
    more = {"vocab_size": 300, "num_hidden_layers": 2, "num_key_value_heads": 2, "rope_parameters": rotary}
    config = Qwen2_5_VLConfig(text_config=text | more, vision_config=vision)
    return Qwen2_5_VLForConditionalGeneration(config)


def qwen():
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    transformer = QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=16,
        out_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        guidance_embeds=False,
        axes_dims_rope=(8, 4, 4),
    )
    for weight in transformer.parameters():
        # So that the text, and with it the guidance, shows in the image.
        weight.data *= 3
    return QwenImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=AutoencoderKLQwenImage(
            base_dim=16,
            z_dim=4,
            dim_mult=[1, 1, 1, 1],
            num_res_blocks=1,
            temperal_downsample=[False, True, True],
            latents_mean=[0.0] * 4,
            latents_std=[1.0] * 4,
        ),
        text_encoder=qwen_encoder(),
        tokenizer=Qwen2Tokenizer(
            vocab={sign: n for n, sign in enumerate([*letters, "<|endoftext|>"])}, merges=[]
        ),
        transformer=transformer,
    )


def whole_pipeline(name):
    torch.manual_seed(0)
    if name == "sd3":
        pipe = sd3()
    elif name.startswith("flux"):
        pipe = flux(guidance_embeds=name == "flux")
    elif name == "qwen":
        pipe = qwen()
    else:
        pipe = pixart(KINDS[name])
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    return pipe
