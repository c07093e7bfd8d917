"""CLIP preprocessing in torch, so that gradients reach the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
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


def input_side(processor: Any) -> int:
    """Side of a network's square input, from its transformers image processor."""
    # Any: the processors of transformers share no type with these fields.
    sizes = processor.crop_size if getattr(processor, "do_center_crop", False) else processor.size
    return int(sizes["height"] if "height" in sizes else sizes["shortest_edge"])


def squares(pixels: Tensor, boxes: Tensor, *, margin: float, size: int) -> Tensor:
    """The square around each box, ``(n, 3, size, size)``; beyond the image, the edge is repeated.

    Args:
        pixels: Images ``(n, 3, height, width)``.
        boxes: Left, top, right, bottom in pixels, ``(n, 4)``.
        margin: Side of the square relative to the longer side of the box.
        size: Side of the result in pixels.
    """
    cut = []
    for image, (left, top, right, bottom) in zip(pixels, boxes.tolist(), strict=True):
        half = round(margin * max(right - left, bottom - top) / 2)
        column, row = round((left + right) / 2), round((top + bottom) / 2)
        rows = torch.arange(row - half, row + half, device=image.device).clamp(0, image.shape[1] - 1)
        columns = torch.arange(column - half, column + half, device=image.device).clamp(0, image.shape[2] - 1)
        square = image[:, rows[:, None], columns][None]
        cut.append(interpolate(square, size=(size, size), mode="bicubic", antialias=True).clamp(-1, 1))
    return torch.cat(cut)
