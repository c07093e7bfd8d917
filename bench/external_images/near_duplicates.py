"""Images that nearly equal another one: saved again, resized, or drawn twice with the same noise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evenhand.methods.base import Images

SIDE = 16
"""Rows and columns of the difference hash, which has ``SIDE * SIDE`` bits."""

DISTANCE = 6
"""Most bits in which the hashes of near-duplicates differ; saving as JPEG or resizing changes fewer."""

PARTS = DISTANCE + 1
"""Two hashes with at most ``DISTANCE`` different bits agree in at least one of so many parts."""

MAX_BUCKET = 200
"""Of so many images with one part in common, such as a blank border, only equal hashes are compared."""

Hash = NDArray[np.bool_]


def difference_hash(image: Images) -> Hash:
    """Whether each cell of a 16 x 16 grid is darker than its right neighbour, ``(256,)``."""
    grey = Image.fromarray(image).convert("L").resize((SIDE + 1, SIDE), Image.Resampling.BOX)
    cells = np.asarray(grey, np.int16)
    return (cells[:, :-1] < cells[:, 1:]).ravel()


def near_duplicates(hashes: Mapping[str, Hash]) -> list[tuple[str, ...]]:
    """Groups of names whose hashes nearly agree, directly or through others; in order of first mention.

    Args:
        hashes: Name to the hash of its image.
    """
    leader = {name: name for name in hashes}

    def first(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for names in _buckets(hashes):
        for one, other in combinations(names, 2):
            if np.count_nonzero(hashes[one] != hashes[other]) <= DISTANCE:
                leader[first(other)] = first(one)
    groups: dict[str, list[str]] = defaultdict(list)
    for name in hashes:
        groups[first(name)].append(name)
    return [tuple(names) for names in groups.values() if len(names) > 1]


def _buckets(hashes: Mapping[str, Hash]) -> list[list[str]]:
    """Lists of names that are compared with each other: equal hashes, and equal parts of hashes."""
    found: dict[tuple[int, bytes], list[str]] = defaultdict(list)
    for name, bits in hashes.items():
        found[-1, bits.tobytes()].append(name)
        for place, part in enumerate(np.array_split(bits, PARTS)):
            found[place, part.tobytes()].append(name)
    chains = [list(pair) for (place, _), names in found.items() if place < 0 for pair in pairwise(names)]
    return chains + [names for (place, _), names in found.items() if place >= 0 and len(names) <= MAX_BUCKET]
