"""The source texts that UCE and MIST edit, and the history of their measurements."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Source:
    """An edited text, and how its bias is measured.

    Attributes:
        concept: The concept it depicts.
        text: The text whose states are edited.
        prompt: The text whose images are measured.
        guidance: One text per cell, towards which the edit moves.
        labels: One text per cell, between which the steering judge chooses.
    """

    concept: str
    text: str
    prompt: str
    guidance: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass
class SourceHistory:
    """The measurements of one source, round by round.

    Attributes:
        source: The source.
        target: Desired shares ``(K,)``.
        counts: Images of each class since the last edit, ``(K,)``; used by the sequential rule only.
        ratios: Measured shares of every round.
        images: Number of images behind each of them.
        verdicts: Whether each of them counts as balanced.
    """

    source: Source
    target: Shares
    counts: Shares = field(init=False)
    ratios: list[Shares] = field(default_factory=list)
    images: list[int] = field(default_factory=list)
    verdicts: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Reset the counts: the images before an edit do not describe the edited model."""
        self.counts = np.zeros(len(self.target))

    def note(self, ratio: Shares, *, images: int, balanced: bool) -> None:
        """Record one round."""
        self.ratios.append(ratio)
        self.images.append(images)
        self.verdicts.append(balanced)

    @property
    def gaps(self) -> list[float]:
        """Largest distance to the target in every round."""
        return [self.gap(ratio) for ratio in self.ratios]

    def gap(self, ratio: Shares) -> float:
        """Largest distance of shares to the target."""
        return float(np.abs(self.target - ratio).max())

    @property
    def balanced(self) -> bool:
        """Whether the last round was balanced."""
        return bool(self.verdicts) and self.verdicts[-1]
