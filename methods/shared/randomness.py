"""The random stream of an image, and the cell drawn from it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from evenhand.methods.shared.prompt_text import first_phrase


def image_stream(digest: str, prompt: str, seed: int) -> np.random.Generator:
    """The random stream of one image of an intervention, from intervention digest, prompt and seed."""
    sha = hashlib.sha256(f"{digest}\n{seed}\n{prompt}".encode()).digest()
    return np.random.default_rng(int.from_bytes(sha[:16], "big"))


def drawn_cell(
    text: str, draw: np.random.Generator, target: Mapping[str, Sequence[float]]
) -> tuple[str, int] | None:
    """The first concept in a prompt and a cell drawn from its target; ``None`` without a concept.

    Args:
        text: The prompt.
        draw: The random stream of the image; used once, and only if the prompt mentions a concept.
        target: Concept to the desired share of every cell, summing to one.

    >>> drawn_cell("a photo of a nurse", np.random.default_rng(0), {"nurse": [0.0, 1.0]})
    ('nurse', 1)
    """
    match = first_phrase(text, tuple(target))
    if match is None:
        return None
    shares = target[match[0]]
    return match[0], int(draw.choice(len(shares), p=shares))
