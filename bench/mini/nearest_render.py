"""Labels images of the bundled model by the nearest render, to check the judges without a trained network.

Every person in the training data has one of 60 heads, placed with a small jitter. An image is compared with
all heads at all places, pixel by pixel, where the head is opaque and no prop covers it.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate, pad

from evenhand.bench.mini import ROOT
from evenhand.bench.mini.law import TAXONOMIES
from evenhand.bench.mini.world import SIZE

CENTRE = (29, 28)
"""Centre of a head without jitter, in pixels from left and top."""

SCALES = (0.95, 1.0, 1.05)
SHIFTS = range(-3, 4)
"""The jitter's range of sizes and shifts, in whole pixels."""

PROP = 30
"""Left and top of the prop; pixels right of and below both are not compared."""

OPAQUE = 0.95
LARGEST_DISTANCE = 0.1
"""Mean squared difference of colours in [0, 1], summed over channels, above which an image shows no head.

Images of people have about 0.01, characters and objects 0.13 and more.
"""


def nearest_gender(images: NDArray[np.uint8]) -> list[str]:
    """Gender of the nearest head of each image ``(n, 64, 64, 3)``; empty if no head is near."""
    genders = TAXONOMIES["gender"]
    pixels = torch.from_numpy(images).movedim(-1, 1).float().div(255)
    squares = pixels.square().sum(dim=1).flatten(1)
    best = torch.full((len(images), len(genders)), torch.inf)
    for scale in SCALES:
        for index, heads in enumerate(_resized(scale)):
            for shift in product(SHIFTS, SHIFTS):
                found = _distances(pixels.flatten(1), squares, _placed(heads, shift)).amin(dim=1)
                best[:, index] = best[:, index].minimum(found)
    values, indices = best.min(dim=1)
    return [genders[i] if near else "" for i, near in zip(indices, values <= LARGEST_DISTANCE, strict=True)]


def _resized(scale: float) -> list[Tensor]:
    """For each gender, the heads of all styles, tones and ages: ``(30, 4, size, size)``, premultiplied."""
    with np.load(ROOT / "world.npz") as archive:
        heads = torch.from_numpy(archive["heads"]).movedim(-1, -3).float().div(255)
    size = round(heads.shape[-1] * scale)
    return [
        interpolate(one_gender.flatten(0, 2), size=(size, size), mode="bilinear", antialias=True)
        for one_gender in heads.unbind(dim=1)
    ]


def _placed(heads: Tensor, shift: tuple[int, int]) -> Tensor:
    """The heads on a canvas ``(n, 4, 64, 64)``, shifted from ``CENTRE``."""
    size = heads.shape[-1]
    left, top = (centre + moved - size // 2 for centre, moved in zip(CENTRE, shift, strict=True))
    return pad(heads, (left, SIZE - size - left, top, SIZE - size - top))


def _distances(pixels: Tensor, squares: Tensor, heads: Tensor) -> Tensor:
    """Mean squared difference of every image and head over the compared pixels: ``(images, heads)``.

    Args:
        pixels: Colours of the images, ``(images, 3 * 64 * 64)``.
        squares: Squared colours, summed over channels, ``(images, 64 * 64)``.
        heads: The heads on the canvas, ``(heads, 4, 64, 64)``.
    """
    mask = (heads[:, 3:] > OPAQUE).float()
    mask[:, :, PROP:, PROP:] = 0
    colours = (heads[:, :3] * mask).flatten(1)
    mask = mask.flatten(1)
    return (squares @ mask.T - 2 * pixels @ colours.T + colours.square().sum(dim=1)) / mask.sum(dim=1)
