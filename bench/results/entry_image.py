"""An image that an entry of the leaderboard contains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class EntryImage:
    """One image of an entry's strip.

    Attributes:
        prompt: The text of its prompt.
        kind: The kind of the prompt.
        pixels: Its pixels ``(height, width, 3)``; white where no image was generated.
    """

    prompt: str
    kind: str
    pixels: NDArray[np.uint8]
