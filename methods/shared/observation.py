"""Seeing inside the U-Net while images are drawn: features per image, step and module.

Methods that rest on statistics or linear classifiers of features draw images under an intervention that
changes nothing and keeps what a reduction makes of the named modules' outputs, for example their mean over
all positions. The images are the plain model's own and count as the method's cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.methods.base import Images, Intervention, Task
from evenhand.methods.hooks import Batch, Site, Steering, Step

Reduce = Callable[[Step, Site, Tensor], Tensor]
"""Makes ``(n, ...)`` of a module's outputs ``(n, ...)`` or ``(n, 2, ...)``, image by image."""

_Row = tuple[str, int, str, int]
"""Text, seed, module and step of one kept feature."""


@dataclass(frozen=True)
class Observation:
    """What was seen.

    Attributes:
        images: The images, in the order of the prompts.
        features: Module name to ``(images, steps, ...)``, on the CPU in the reduction's precision.
    """

    images: Images
    features: Mapping[str, Tensor]


def observe(
    task: Task,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    sites: Sequence[str],
    reduce: Reduce,
    steps: int | None = None,
    both: bool = False,
) -> Observation:
    """Draw images and keep reduced features.

    What is kept belongs to a prompt and its seed, so it depends neither on the other images of a batch
    nor on the threads that draw the batches.

    Args:
        task: Draws and counts the images.
        prompts: ``n`` prompts.
        seeds: ``n`` seeds of the initial noise.
        sites: Names of the U-Net modules.
        reduce: What is kept of a module's output at a step.
        steps: Number of first steps that are kept; all where not given.
        both: Whether ``reduce`` sees both halves of guidance, ``(n, 2, ...)`` with the unconditional one
            first, and not the conditional half alone, ``(n, ...)``.

    Raises:
        EvenhandError: The images were not drawn through the U-Net's modules.
    """
    watch = _Watch(data={"sites": list(sites)}, reduce=reduce, first=steps, both=both)
    images = task.sample(prompts, seeds, intervention=watch)
    rows: dict[_Row, Tensor] = watch.seen
    count = 1 + max((step for *_, step in rows), default=-1)
    if not count:
        raise EvenhandError(f"no feature of {', '.join(sites)} was seen in {len(prompts)} images")
    keys = list(zip(prompts, seeds, strict=True))
    features = {
        site: torch.stack(
            [torch.stack([rows[text, seed, site, step] for step in range(count)]) for text, seed in keys]
        )
        for site in sites
    }
    return Observation(images=images, features=features)


@dataclass(frozen=True, eq=False)
class _Watch(Intervention):
    """Changes nothing; its images are always drawn, and what they pass through is kept in ``seen``."""

    observes: ClassVar[bool] = True

    reduce: Reduce = lambda step, site, output: output
    first: int | None = None
    both: bool = False
    seen: dict[_Row, Tensor] = field(default_factory=dict)

    def sites(self) -> Sequence[str]:
        """The modules that are watched."""
        sites: Sequence[str] = self.data["sites"]
        return sites

    def steer(self, batch: Batch) -> Steering:
        """Keeps the features of this batch."""
        return _Watching(self, batch)


@dataclass
class _Watching(Steering):
    watch: _Watch
    batch: Batch

    def feature(self, step: Step, site: Site, output: Tensor) -> Tensor:
        """The output itself; a copy of its reduced conditional rows is kept."""
        if self.watch.first is None or step.index < self.watch.first:
            n = len(self.batch)
            # A copy outside inference mode: what is fitted to features may need gradients.
            with torch.inference_mode(mode=False):
                rows = output[: 2 * n].clone()
                rows = rows.reshape(2, n, *rows.shape[1:]).transpose(0, 1) if self.watch.both else rows[n:]
                reduced = self.watch.reduce(step, site, rows).detach().cpu().clone()
            keys = zip(self.batch.texts, self.batch.seeds, strict=True)
            for (text, seed), row in zip(keys, reduced, strict=True):
                # The engine fills the last batch up with copies of an image; the first is the image's.
                self.watch.seen.setdefault((text, seed, site.name, step.index), row)
        return output
