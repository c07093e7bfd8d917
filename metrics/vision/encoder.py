"""Vision encoders without a text half, such as DINOv2, for methods that compare images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import normalize
from transformers import AutoImageProcessor, AutoModel

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.vision.device import best_device
from evenhand.metrics.vision.loaded_weights import require_loaded
from evenhand.metrics.vision.pixels import input_side, shown
from evenhand.metrics.vision.weight_folder import loading, require
from evenhand.metrics.vision.weights import hub_folder

FILES = ("config.json", "model.safetensors", "preprocessor_config.json")


# Loaded outside inference mode even if the caller is in it, because methods need gradients through it.
@torch.inference_mode(mode=False)
def load_encoder(name: str) -> Callable[[Tensor], Tensor]:
    """The function from images ``(n, 3, height, width)`` in ``[-1, 1]`` to unit vectors ``(n, d)``.

    The vectors are the network's pooled output: for DINOv2 the normalised class token. They have gradients.

    Args:
        name: A hub id such as ``"facebook/dinov2-base"``, or a transformers folder.

    Raises:
        EvenhandError: The folder is missing or incomplete, or the network has no pooled output.
    """
    folder, device = hub_folder(name), best_device()
    require(folder, FILES)
    with loading(folder):
        network = AutoModel.from_pretrained(folder, use_safetensors=True, trust_remote_code=False)
        require_loaded(network, folder)
        processor = AutoImageProcessor.from_pretrained(folder, trust_remote_code=False)
    network = network.float().eval().requires_grad_(False).to(device)

    def features(pixels: Tensor) -> Tensor:
        seen = shown(
            pixels.to(device, torch.float32),
            size=input_side(processor),
            mean=processor.image_mean,
            std=processor.image_std,
        )
        pooled = getattr(network(seen), "pooler_output", None)
        if pooled is None:
            raise EvenhandError(
                f"vision encoder {name!r} has no pooled output; give one that has, as facebook/dinov2-base"
            )
        return normalize(pooled, dim=-1)

    return features
