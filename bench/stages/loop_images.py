"""Deletes the images that fits draw, which can be hundreds of gigabytes, once no fit needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from evenhand.bench.prompts.plan import Item
from evenhand.bench.stages.generate import Drawing
from evenhand.bench.storage.fit_images import FitImages
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
    _done: list[FitImages] = field(default_factory=list)

    def done(self, fitted: Fitted, images: FitImages) -> None:
        """Delete the images of one fit, except those of the baseline, which other fits may need.

        Args:
            fitted: The fit.
            images: Its images, including those from before an interruption.
        """
        self._done.append(images)
        if images.edited:
            self.store.remove(images.edited - self._planned(fitted))

    def all_done(self, fits: Iterable[Fitted]) -> None:
        """Delete the images of the baseline that only fits needed."""
        shared = set[str]().union(*(images.unedited for images in self._done))
        if shared:
            self.store.remove(shared.difference(*map(self._planned, fits)))
        for images in self._done:
            images.forget()

    def _planned(self, fitted: Fitted) -> set[str]:
        return {job.key for job in self.drawing(fitted).jobs(self.items)}
