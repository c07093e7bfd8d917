"""The worker process of DeepFace. It imports nothing else of Evenhand, to save memory."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

ENGINE = "onnx"
"""The engine of DeepFace that needs neither TensorFlow nor another version of torch."""


def analyze(images: NDArray[np.uint8], *, home: str, detector: str) -> list[list[dict[str, Any]]]:
    """DeepFace's results for each image: one entry per face, with numbers as plain floats.

    Args:
        images: ``(n, height, width, 3)`` sRGB bytes.
        home: Folder that contains ``.deepface/weights``.
        detector: A detector of DeepFace, or ``"skip"`` if the images are face crops.
    """
    os.environ["DEEPFACE_HOME"] = home
    os.environ["DEEPFACE_BACKEND_ENGINE"] = ENGINE
    os.environ["DEEPFACE_LOG_LEVEL"] = "40"
    from deepface import DeepFace

    found = []
    for image in images:
        faces = DeepFace.analyze(
            np.ascontiguousarray(image[:, :, ::-1]),  # DeepFace expects the channel order blue, green, red
            actions=("gender", "race", "age"),
            detector_backend=detector,
            enforce_detection=False,
            align=detector != "skip",
            silent=True,
        )
        found.append([_plain(face) for face in faces])
    return found


def _plain(face: dict[str, Any]) -> dict[str, Any]:
    """The entry with plain floats; some releases return strings or other number types."""
    shares = {key: {name: float(value) for name, value in face[key].items()} for key in ("gender", "race")}
    box = [float(face["region"][key]) for key in ("x", "y", "w", "h")]
    return {**shares, "age": float(face["age"]), "confidence": float(face["face_confidence"]), "box": box}
