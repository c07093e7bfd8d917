"""Single-file checkpoints in the layout of the first release of Stable Diffusion."""

import re

from safetensors.torch import save_file

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
UNET = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def save_checkpoint(pipe, path):
    """Write the U-Net, the autoencoder and the text encoder of a Stable Diffusion 1 pipeline to one file."""
    layers = pipe.unet.config.layers_per_block
    levels = len(pipe.vae.config.block_out_channels)
    stored = {
        f"model.diffusion_model.{unet_name(name, layers)}": value
        for name, value in pipe.unet.state_dict().items()
    }
    for name, value in pipe.vae.state_dict().items():
        renamed = vae_name(name, levels)
        flat = ".attn_1." in renamed and ".norm." not in renamed and renamed.endswith("weight")
        stored[f"first_stage_model.{renamed}"] = value[..., None, None] if flat else value
    for name, value in pipe.text_encoder.state_dict().items():
        stored[f"cond_stage_model.transformer.text_model.{name.removeprefix('text_model.')}"] = value
    save_file({name: value.contiguous() for name, value in stored.items()}, path)


def unet_name(name, layers):
    if down := re.fullmatch(r"down_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.(.+)", name):
        block = f"input_blocks.{int(down[1]) * (layers + 1) + int(down[3]) + 1}"
        return in_block(block, down[2], down[4])
    if down := re.fullmatch(r"down_blocks\.(\d+)\.downsamplers\.0\.conv\.(.+)", name):
        return f"input_blocks.{(int(down[1]) + 1) * (layers + 1)}.0.op.{down[2]}"
    if up := re.fullmatch(r"up_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.(.+)", name):
        return in_block(f"output_blocks.{int(up[1]) * (layers + 1) + int(up[3])}", up[2], up[4])
    if up := re.fullmatch(r"up_blocks\.(\d+)\.upsamplers\.0\.conv\.(.+)", name):
        # The first block of the tiny U-Net has attention, after which the upsampler is the third part.
        return f"output_blocks.{int(up[1]) * (layers + 1) + layers}.2.conv.{up[2]}"
    if middle := re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)", name):
        place = 1 if middle[1] == "attentions" else 2 * int(middle[2])
        inner = middle[3] if middle[1] == "attentions" else renamed(middle[3], RESNET)
        return f"middle_block.{place}.{inner}"
    return renamed(name, UNET)


def in_block(block, kind, inner):
    return f"{block}.1.{inner}" if kind == "attentions" else f"{block}.0.{renamed(inner, RESNET)}"


def vae_name(name, levels):
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}", name)
    if "mid_block.attentions.0." in name:
        before, inner = name.split("mid_block.attentions.0.")
        return f"{before}mid.attn_1.{renamed(inner, ATTENTION)}"
    name = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)", lambda found: f"up.{levels - 1 - int(found[1])}", name)
    name = name.replace(".upsamplers.0", ".upsample").replace(".resnets.", ".block.")
    return name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")


def renamed(name, table):
    for ours, theirs in table.items():
        if name.startswith(f"{ours}."):
            return theirs + name.removeprefix(ours)
    return name
