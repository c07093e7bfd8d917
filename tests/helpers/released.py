"""Stable Diffusion 1.5 and XL as their releases configure them, with random weights.

``tests/data/stable_diffusion_*.json`` has the configuration files of the releases. Vocabulary and merges of
the tokenizer are those that open_clip ships, which are the same. At full width the U-Nets have 0.86 and 2.57
billion weights, too many for a test. The narrow models keep every block, layer and flag, and have a tenth of
the U-Net's channels and a quarter of the width of the text encoders and the autoencoder.
"""

import json

import open_clip
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from helpers.paths import DATA
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import save_file
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
)

FILES = {"sd1": "stable_diffusion_15.json", "sdxl": "stable_diffusion_xl.json"}
TEXT_ENCODERS = {"text_encoder": CLIPTextModel, "text_encoder_2": CLIPTextModelWithProjection}
SPECIAL = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}


def released_configuration(family):
    """The configuration files of the release by path."""
    return json.loads((DATA / FILES[family]).read_text(encoding="utf-8"))


def narrowed(files):
    """The same configuration with narrower networks."""
    unet, vae = files["unet/config.json"], files["vae/config.json"]
    unet["block_out_channels"] = [width // 10 for width in unet["block_out_channels"]]
    if isinstance(unet["attention_head_dim"], list):  # The number of heads, whatever its name says.
        unet["attention_head_dim"] = [heads // 5 for heads in unet["attention_head_dim"]]
    unet["cross_attention_dim"] //= 4
    vae["block_out_channels"] = [width // 4 for width in vae["block_out_channels"]]
    for name in TEXT_ENCODERS:
        text = files.get(f"{name}/config.json", {})
        for size in ("hidden_size", "intermediate_size", "num_attention_heads", "projection_dim"):
            if text:
                text[size] //= 4
    if unet.get("addition_time_embed_dim"):
        pooled = files["text_encoder_2/config.json"]["projection_dim"]
        unet["projection_class_embeddings_input_dim"] = 6 * unet["addition_time_embed_dim"] + pooled
    return files


def save_released(family, folder, *, full=False):
    """Write a model to ``folder`` as the release lays it out, without the safety checker."""
    torch.manual_seed(0)
    files = released_configuration(family) if full else narrowed(released_configuration(family))
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(json.dumps(content))
    UNet2DConditionModel.from_config(files["unet/config.json"]).save_pretrained(folder / "unet")
    AutoencoderKL.from_config(files["vae/config.json"]).save_pretrained(folder / "vae")
    for name, kind in TEXT_ENCODERS.items():
        if config := files.get(f"{name}/config.json"):
            kind(CLIPTextConfig.from_dict(config)).save_pretrained(folder / name)
            save_tokenizer(folder / name.replace("text_encoder", "tokenizer"))
    return folder


def save_tokenizer(folder):
    """Write CLIP's vocabulary and merges beside the configuration of a tokenizer."""
    clip = SimpleTokenizer()
    vocabulary = {SPECIAL.get(token, token): number for token, number in clip.encoder.items()}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    merges = [" ".join(pair) for pair in clip.bpe_ranks]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")


def save_open_clip(folder, name):
    """Write an open_clip model in the layout of ``name``, with two layers and an eighth of its width."""
    torch.manual_seed(0)
    config = open_clip.get_model_config(name)
    vision, text = config["vision_cfg"], config["text_cfg"]
    config["embed_dim"], vision["width"], text["width"], text["heads"] = 64, 64, 64, 1
    vision["layers"] = text["layers"] = 2
    folder.mkdir()
    stated = {"model_cfg": config, "preprocess_cfg": {"mean": OPENAI_DATASET_MEAN, "std": OPENAI_DATASET_STD}}
    (folder / "open_clip_config.json").write_text(json.dumps(stated))
    save_file(open_clip.CLIP(**config).state_dict(), folder / "open_clip_model.safetensors")
    return folder


def save_scorer(folder):
    """Write a small CLIP in the layout of the scorer, ``openai/clip-vit-large-patch14``."""
    torch.manual_seed(0)
    text = narrowed(released_configuration("sd1"))["text_encoder/config.json"]
    small = {"hidden_size": 64, "intermediate_size": 64, "num_attention_heads": 1, "num_hidden_layers": 2}
    text, vision = text | small, {"patch_size": 14, "image_size": 224} | small
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=64)).save_pretrained(folder)
    CLIPImageProcessor().save_pretrained(folder)
    tokenizer = released_configuration("sd1")["tokenizer/tokenizer_config.json"]
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    save_tokenizer(folder)
    return folder
