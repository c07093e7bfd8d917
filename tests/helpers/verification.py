"""The content of a ``verification.json``, in which every answer agreed."""

from typing import Any

AN_ANSWER = {"name": "vit, gender", "asked": 60, "other": 0, "contradicted": 0, "furthest": 0.0}

A_VERIFICATION: dict[str, Any] = {
    "entry": "00" * 32,
    "evenhand": "1",
    "device": "cpu",
    "fitted": True,
    "same_intervention": True,
    "seed": 1,
    "images": 60,
    "same_images": 60,
    "answers": [AN_ANSWER],
}
