"""How unlike to a photograph the face in an image is, for judges that were trained on photographs.

A judge of photographs also answers when it sees a drawn face. Drawings and photographs differ in the fine
texture of the face, which the first layers of a network see whatever the person looks like. The features of a
face are the mean and the standard deviation of the channels of such a layer of dlib's gender network. The
distance of an image is the Mahalanobis distance of these features from those of a set of photographs, divided
by the square root of their number, so that it is about 1 for a photograph.

``photograph_faces.npz`` contains only statistics of the features of the reference photographs, no images.
``evenhand.bench.studies.photograph_reference`` makes it and prints how well it separates.
"""

from __future__ import annotations

import hashlib
import io
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from evenhand.metrics.vision.face_networks import FaceNetwork
from evenhand.metrics.vision.faces import finder

LAYER = "layer_14_relu"
"""The second of five blocks: 32 channels at half the resolution of the input."""

FILE = "photograph_faces.npz"

LIMIT = 1.25
"""Of 171 faces in photographs, each measured against others, 7 are farther; of 121 faces that the detectors
find in drawings and rendered characters, 108."""


def texture(faces: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean and standard deviation of the channels of :data:`LAYER`, ``(n, 64)``.

    Args:
        faces: Faces ``(n, height, width, 3)``, cropped tightly.
    """
    values = _network()(faces)
    return np.concatenate([values.mean(axis=(2, 3)), values.std(axis=(2, 3))], axis=1)


def unlikeness(
    features: NDArray[np.float64], *, mean: NDArray[np.float64], whitening: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mahalanobis distance from ``mean``, divided by the square root of the number of features.

    Args:
        features: ``(n, d)``.
        mean: ``(d,)``.
        whitening: ``(d, d)``, a square root of the inverse covariance.
    """
    whitened = (features - mean) @ whitening
    distances: NDArray[np.float64] = np.sqrt(np.square(whitened).mean(axis=1))
    return distances


def distance_from_photographs(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How unlike to a photograph the largest face of each image is, ``(n,)``; NaN without a face.

    Raises:
        EvenhandError: The face detectors or the network are not installed.
    """
    distances = np.full(len(images), np.nan)
    for index, image in enumerate(images):
        faces = finder().look(image).faces
        if faces:
            face = finder().cut(image, faces[0], "tight")
            distances[index] = unlikeness(texture(face[None]), **_statistics())[0]
    return distances


@cache
def _network() -> FaceNetwork:
    return FaceNetwork("gender", layer=LAYER)


def reference_version() -> str:
    """The start of the SHA-256 of the statistics."""
    return hashlib.sha256(_stored()).hexdigest()[:12]


def _stored() -> bytes:
    return (files("evenhand.metrics") / "data" / FILE).read_bytes()


@cache
def _statistics() -> dict[str, NDArray[np.float64]]:
    with np.load(io.BytesIO(_stored()), allow_pickle=False) as found:
        return dict(found)
