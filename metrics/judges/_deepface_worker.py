"""What runs in DeepFace's own process; it imports nothing else of Evenhand, which would only cost memory."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

ENGINE = "onnx"
"""DeepFace's engine that needs neither TensorFlow nor another torch."""


def analyze(images: NDArray[np.uint8], *, home: str, detector: str) -> list[list[dict[str, Any]]]:
    """What DeepFace finds in each image: one entry per face, numbers as plain floats.

    Args:
        images: ``(n, height, width, 3)`` sRGB bytes.
        home: Folder that holds ``.deepface/weights``.
        detector: DeepFace's detector, or ``"skip"`` where the images are faces already.
    """
    os.environ["DEEPFACE_HOME"] = home
    os.environ["DEEPFACE_BACKEND_ENGINE"] = ENGINE
    os.environ["DEEPFACE_LOG_LEVEL"] = "40"
    from deepface import DeepFace

    found = []
    for image in images:
        faces = DeepFace.analyze(
            np.ascontiguousarray(image[:, :, ::-1]),  # DeepFace takes arrays in the order blue, green, red
            actions=("gender", "race", "age"),
            detector_backend=detector,
            enforce_detection=False,
            align=detector != "skip",
            silent=True,
        )
        found.append([_plain(face) for face in faces])
    return found


def _plain(face: dict[str, Any]) -> dict[str, Any]:
    """The entry with floats throughout: some releases give strings or their own number types."""
    shares = {key: {name: float(value) for name, value in face[key].items()} for key in ("gender", "race")}
    box = [float(face["region"][key]) for key in ("x", "y", "w", "h")]
    return {**shares, "age": float(face["age"]), "confidence": float(face["face_confidence"]), "box": box}
