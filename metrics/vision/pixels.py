"""CLIP preprocessing in torch, so that gradients reach the pixels."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn.functional import interpolate

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of each channel of ImageNet's images in ``[0, 1]``."""


def shown(pixels: Tensor, *, size: int, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Preprocessed images for CLIP: shorter side resized to ``size``, centre crop, normalisation.

    Args:
        pixels: ``(n, 3, height, width)`` in ``[-1, 1]``; values outside are clipped, as in an image file.
        size: Side of the network's square input.
        mean: Mean of each channel, for images in ``[0, 1]``.
        std: Standard deviation of each channel.

    Returns:
        ``(n, 3, size, size)``. Without resizing, the result equals the Pillow preprocessing up to rounding to
        bytes; with resizing, the two implementations of bicubic filtering differ slightly.
    """
    height, width = pixels.shape[2:]
    image = (pixels.clamp(-1, 1) + 1) / 2
    if min(height, width) != size:
        shortest = min(height, width)
        edges = [round(edge * size / shortest) for edge in (height, width)]
        image = interpolate(image, size=edges, mode="bicubic", antialias=True).clamp(0, 1)
    top, left = ((edge - size) // 2 for edge in image.shape[2:])
    image = image[:, :, top : top + size, left : left + size]
    return (image - pixels.new_tensor(mean).view(-1, 1, 1)) / pixels.new_tensor(std).view(-1, 1, 1)
