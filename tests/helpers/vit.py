"""A tiny image classifier in the real format."""

import torch
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor


def classifier(folder, names, *, seed=0):
    """A tiny ViT with these classes, as transformers saves it."""
    torch.manual_seed(seed)
    config = ViTConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=16,
        patch_size=8,
        id2label=dict(enumerate(names)),
        label2id={name: index for index, name in enumerate(names)},
    )
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder
