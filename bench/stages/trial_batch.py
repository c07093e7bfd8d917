"""Times a few images of a suite, to estimate what a run takes on this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evenhand.bench.models.loading import load_model_of, open_sampler
from evenhand.bench.prompts.plan import Item, make_plan
from evenhand.bench.stages.generate import Drawing
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.images import ImageStore, as_png
from evenhand.bench.suites.suite import Suite

STEPS = 8
"""Most denoising steps of the batch; the time of all steps is taken to be proportional."""

SMALL = 128 * 128
"""Pixels of an image up to which a CPU draws whole batches; of larger ones, which take minutes, only one."""


@dataclass(frozen=True)
class TrialBatch:
    """What one image takes: seconds of drawing, and bytes on disk."""

    seconds: float
    bytes: float


def draw_a_batch(suite: Suite) -> TrialBatch:
    """Draw a batch of the suite's first prompts without an intervention; nothing is kept.

    Raises:
        EvenhandError: The model is not on this machine, or the suite has no prompts.
    """
    model = load_model_of(suite)
    protocol, steps = suite.protocol, min(suite.protocol.steps, STEPS)
    whole = model.device.type != "cpu" or protocol.width * protocol.height <= SMALL
    batch = protocol.batch if whole else 1
    sampler = open_sampler(model, protocol.model_copy(update={"steps": steps, "batch": batch}))
    items = make_plan(suite)[0][: 2 * batch]
    texts, seeds = [item.prompt.text for item in items], [item.seed for item in items]
    sampler(texts[:1], seeds[:1])  # The first batch also pays for what is loaded once.
    start = time.perf_counter()
    images = sampler(texts, seeds)
    seconds = (time.perf_counter() - start) * protocol.steps / steps / len(images)
    return TrialBatch(seconds, float(np.mean([len(as_png("0", image)) for image in images])))


def time_first_images(drawing: Drawing, items: Sequence[Item], *, store: ImageStore) -> TrialBatch | None:
    """Draw the first missing images of a run and keep them; ``None`` if too few are missing to time any.

    The first batch is not timed, because it also pays for what is loaded once.
    """
    jobs = drawing.jobs(items)
    found = store.statuses(job.key for job in jobs)
    missing = list({job.key: job for job in jobs if job.key not in found}.values())
    batch = drawing.sampler.protocol.batch
    timed = missing[batch : 3 * batch]
    if not timed:
        return None
    drawing.draw(missing[:batch], store=store, progress=Progress(quiet=True))
    start = time.perf_counter()
    drawing.draw(timed, store=store, progress=Progress(quiet=True))
    seconds = (time.perf_counter() - start) / len(timed)
    return TrialBatch(seconds, float(np.mean([store.path(job.key).stat().st_size for job in timed])))
