"""Where people are in an image, by a semantic segmentation model, for methods that act on people only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate
from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.vision.device import best_device
from evenhand.metrics.vision.loaded_weights import require_loaded
from evenhand.metrics.vision.weight_folder import in_batches, loading, require
from evenhand.metrics.vision.weights import hub_folder

Images = NDArray[np.uint8]
"""Images as ``(n, height, width, 3)`` sRGB bytes."""

FILES = ("config.json", "model.safetensors", "preprocessor_config.json")

PERSON = "person"
"""Name of the class in ADE20K, COCO and Pascal VOC; ADE20K's ends there, before its first comma."""


def load_segmenter(name: str) -> Callable[[Images], NDArray[np.bool_]]:
    """The function from images to masks ``(n, height, width)`` of where the class "person" is most probable.

    Args:
        name: A hub id such as ``"openmmlab/upernet-convnext-small"``, or a transformers folder.

    Raises:
        EvenhandError: The folder is missing or incomplete, or the network has no class "person".
    """
    folder, device = hub_folder(name), best_device()
    require(folder, FILES)
    with loading(folder):
        network = AutoModelForSemanticSegmentation.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False
        )
        require_loaded(network, folder)
        processor = AutoImageProcessor.from_pretrained(folder, trust_remote_code=False)
    labels = network.config.id2label
    people = [index for index, label in labels.items() if label.partition(",")[0].strip().lower() == PERSON]
    if not people:
        raise EvenhandError(
            f"segmentation model {name!r} has no class 'person'; give one that has, as one trained on ADE20K"
        )
    network = network.float().eval().to(device)

    @torch.inference_mode()
    def masks(images: Images) -> NDArray[np.bool_]:
        options = {"return_tensors": "pt", "input_data_format": "channels_last"}
        pixels = processor(list(images), **options).pixel_values.to(device)
        logits = in_batches(lambda batch: network(batch).logits, pixels)
        sized = interpolate(logits, size=images.shape[1:3], mode="bilinear", align_corners=False)
        found: NDArray[np.bool_] = np.isin(sized.argmax(dim=1).cpu().numpy(), people)
        return found

    return masks
