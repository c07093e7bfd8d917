"""Recording activations of the U-Net while images are generated: per image, step and module.

Methods that need statistics or linear classifiers of activations generate images under an intervention that
changes nothing and keeps a reduction of the named modules' outputs, for example their mean over all
positions. The images are those of the baseline and count towards the method's cost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.methods.base import Images, Intervention, Task
from evenhand.methods.hooks import Batch, Site, Steering, Step

Reduce = Callable[[Step, Site, Tensor], Tensor]
"""Maps outputs ``(n, ...)``, or ``(n, 2, ...)`` with both halves of guidance, to ``(n, ...)``."""


@dataclass(frozen=True)
class Observation:
    """Images and their recorded activations.

    Attributes:
        images: The images, in the order of the prompts.
        features: Module name to ``(images, steps, ...)``, on the CPU in the precision of the reduction.
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
    """Generate images and record reduced activations.

    Activations are keyed by prompt and seed, so they depend neither on the other images of a batch nor on the
    threads that generate the batches.

    Args:
        task: Generates and counts the images.
        prompts: ``n`` prompts.
        seeds: ``n`` seeds of the initial noise.
        sites: Names of the U-Net modules.
        reduce: Reduction of a module's output at a step.
        steps: Number of first steps to record; all by default.
        both: Whether ``reduce`` receives both halves of guidance, ``(n, 2, ...)`` with the unconditional one
            first, instead of the conditional half alone, ``(n, ...)``.

    Raises:
        EvenhandError: No output of the modules was recorded.
    """
    keys = list(zip(prompts, seeds, strict=True))
    rows = {key: row for row, key in enumerate(dict.fromkeys(keys))}
    watch = _Watch(data={"sites": list(sites)}, reduce=reduce, first=steps, both=both, rows=rows)
    images = task.sample(prompts, seeds, intervention=watch)
    if not watch.seen:
        raise EvenhandError(f"no output of {', '.join(sites)} was recorded in {len(prompts)} images")
    features = {site: watch.seen[site] for site in sites}
    if len(rows) < len(keys):
        repeated = [rows[key] for key in keys]
        features = {site: values[repeated] for site, values in features.items()}
    return Observation(images=images, features=features)


@dataclass(frozen=True, eq=False)
class _Watch(Intervention):
    """Changes nothing; records the reduced activations of its images.

    Attributes:
        rows: Text and seed of an image to its row.
        seen: Module name to ``(images, steps, ...)``, allocated once: activations can take tens of gigabytes.
    """

    observes: ClassVar[bool] = True

    reduce: Reduce = lambda step, site, output: output
    first: int | None = None
    both: bool = False
    rows: Mapping[tuple[str, int], int] = field(default_factory=dict)
    seen: dict[str, Tensor] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def sites(self) -> Sequence[str]:
        """The recorded modules."""
        sites: Sequence[str] = self.data["sites"]
        return sites

    def steer(self, batch: Batch) -> Steering:
        """Records the activations of this batch."""
        return _Watching(self, batch)

    def keep(self, step: Step, site: str, batch: Batch, values: Tensor) -> None:
        """Record the values ``(n, ...)`` of a batch."""
        places: dict[int, int] = {}
        for position, key in enumerate(zip(batch.texts, batch.seeds, strict=True)):
            # The engine pads the last batch with copies of an image; the first one counts.
            places.setdefault(self.rows[key], position)
        with self.lock:
            if site not in self.seen:
                steps = step.count if self.first is None else min(self.first, step.count)
                shape = len(self.rows), steps, *values.shape[1:]
                self.seen[site] = torch.full(shape, torch.nan, dtype=values.dtype)
        self.seen[site][list(places), step.index] = values[list(places.values())]


@dataclass
class _Watching(Steering):
    watch: _Watch
    batch: Batch

    def feature(self, step: Step, site: Site, output: Tensor) -> Tensor:
        """The output itself; a copy of its reduced conditional rows is kept."""
        if self.watch.first is None or step.index < self.watch.first:
            n = len(self.batch)
            # Copied outside inference mode, because a fit to the activations may need gradients.
            with torch.inference_mode(mode=False):
                rows = output[: 2 * n].clone()
                rows = rows.reshape(2, n, *rows.shape[1:]).transpose(0, 1) if self.watch.both else rows[n:]
                reduced = self.watch.reduce(step, site, rows).detach().cpu()
                self.watch.keep(step, site.name, self.batch, reduced)
        return output
