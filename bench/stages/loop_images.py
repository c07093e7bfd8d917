"""Deletes the images that fits draw, which can be hundreds of gigabytes, once no fit needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, field

from evenhand.bench.prompts.plan import Item
from evenhand.bench.stages.generate import Drawing
from evenhand.bench.storage.fits import Fitted
from evenhand.bench.storage.images import ImageStore


@dataclass
class LoopImages:
    """The images of the fits of a run.

    Attributes:
        store: Where they are.
        drawing: How the images of a fitted method are drawn.
        items: The planned images, which are kept.
    """

    store: ImageStore
    drawing: Callable[[Fitted], Drawing]
    items: Sequence[Item]
    shared: set[str] = field(default_factory=set)

    def done(self, fitted: Fitted, *, edited: Set[str], unedited: Set[str]) -> None:
        """Delete the images of one fit, except those of the baseline, which other fits may need.

        Args:
            fitted: The fit.
            edited: Keys of its images of edited models.
            unedited: Keys of its images of the baseline.
        """
        self.shared |= unedited
        if edited:
            self.store.remove(edited - self._planned(fitted))

    def all_done(self, fits: Iterable[Fitted]) -> None:
        """Delete the images of the baseline that only fits needed."""
        if self.shared:
            self.store.remove(self.shared.difference(*map(self._planned, fits)))

    def _planned(self, fitted: Fitted) -> set[str]:
        return {job.key for job in self.drawing(fitted).jobs(self.items)}
