"""A photograph of one person and photographs without people, as shipped by scikit-image."""

import numpy as np
from PIL import Image
from skimage import data

ASTRONAUT_FACE = (177, 80, 272, 178)
"""Left, top, right, bottom of the face, estimated by eye."""


def astronaut():
    """NASA's portrait of the astronaut Eileen Collins, ``(512, 512, 3)``, in the public domain."""
    return data.astronaut()


def nobody():
    """A cup of coffee and a cat, ``(512, 512, 3)`` each."""
    return [resized(image, 512) for image in (data.coffee(), data.chelsea())]


def resized(image, side):
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))


def overlap(first, second):
    """Intersection over union of two boxes."""
    left, top = np.maximum(first[:2], second[:2])
    right, bottom = np.minimum(first[2:], second[2:])
    shared = max(0, right - left) * max(0, bottom - top)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return shared / (sum(areas) - shared)
