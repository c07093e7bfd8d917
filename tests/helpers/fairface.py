"""A ResNet-34 in the layout of the released FairFace checkpoints, with random weights."""

import torch
from safetensors.torch import save_file
from torchvision.models import resnet34


def fairface_network():
    torch.manual_seed(0)
    return resnet34(weights=None, num_classes=18).eval()


def fairface_weights(path, *, prefix=""):
    """Write the checkpoint to ``path``, in the format of its suffix."""
    tensors = {f"{prefix}{name}": value.clone() for name, value in fairface_network().state_dict().items()}
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    return path
