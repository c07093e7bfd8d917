"""Proves images and labels: draws and judges a random sample of them here, and compares."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from evenhand.bench.cache.workbench import MethodImages, Workbench
from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.verification.answers import label_answers
from evenhand.bench.results.entry import Answers
from evenhand.bench.stages.generate import Job
from evenhand.bench.stages.label import judge_images
from evenhand.bench.storage.images import ImageStore
from evenhand.bench.storage.tables import Table
from evenhand.methods.base import Images

GREY_LEVELS = 6.0
"""Largest mean difference of an image from another kind of processor, in grey levels of 0 to 255.

Of the bundled model, other instruction sets change 0.001, and ``bfloat16`` instead of ``float32`` changes 5.
The nearest images of other prompts or noise differ by 14.
"""


@dataclass(frozen=True)
class Proof:
    """The outcome for one method.

    Attributes:
        method: Label of the method.
        images: Number of images that were drawn again.
        identical: How many have identical pixels.
        furthest: Largest mean difference of an image in grey levels.
        answers: Agreement of the labels, for every judge and attribute.
    """

    method: str
    images: int
    identical: int
    furthest: float
    answers: tuple[Answers, ...]

    @property
    def exact(self) -> bool:
        """Whether all images have identical pixels."""
        return self.identical == self.images

    @property
    def text(self) -> str:
        """What was compared and how."""
        labels = sum(row.asked for row in self.answers)
        if self.exact:
            same = f"{self.images} images drawn again with identical pixels"
            return f"{self.method}: {same}, {labels} labels agree"
        return (
            f"{self.method}: {self.images} images drawn again, {self.identical} with identical pixels; the "
            f"others, of another kind of processor, differ by at most {self.furthest:.2g} of 255 grey levels "
            f"on average; {labels} labels agree"
        )


def sample_of(keys: Sequence[str], count: int) -> list[str]:
    """A random sample that nobody can predict."""
    return secrets.SystemRandom().sample(sorted(keys), min(count, len(keys)))


def prove(
    planned: MethodImages,
    stated: Mapping[str, Images],
    labels: pd.DataFrame,
    *,
    exact: Collection[str],
    workbench: Workbench,
    scratch: Path,
) -> Proof:
    """Draw and judge images again, and compare them with what is stated.

    Args:
        planned: The images of a method.
        stated: Keys to the stated images.
        labels: Rows of the label table that are stated for these images.
        exact: Keys of the images that must have identical pixels.
        workbench: The suite.
        scratch: Folder for the images and labels.

    Raises:
        EvenhandError: An image or label differs, or cannot be repeated.
    """
    jobs = [planned.jobs[key] for key in stated]
    store = ImageStore(scratch / "images")
    drawn = _drawn(planned, jobs, store=store, workbench=workbench)
    moved = {key: float(np.abs(drawn[key].astype(int) - stated[key]).mean()) for key in stated}
    for key, distance in moved.items():
        if distance > (0.0 if key in exact else GREY_LEVELS):
            raise EvenhandError(_other_image(planned, planned.jobs[key], distance, exact=key in exact))
    pairs = pd.DataFrame(
        [(key, key, moved[key] == 0) for key in stated], columns=["key", "key_stated", "same"]
    )
    repeated = _judged(planned.people(list(stated)), store=store, workbench=workbench, folder=scratch)
    answers = tuple(label_answers(repeated, labels, pairs)) if len(repeated) and len(labels) else ()
    for row in answers:
        if row.contradicted or row.unlike:
            raise EvenhandError(
                f"{max(row.contradicted, row.other)} of {row.asked} labels of {row.name} for images of "
                f"{planned.use.label} are not what the judge says here"
            )
    identical = sum(distance == 0 for distance in moved.values())
    return Proof(planned.use.label, len(jobs), identical, max(moved.values(), default=0.0), answers)


def _drawn(
    planned: MethodImages, jobs: Sequence[Job], *, store: ImageStore, workbench: Workbench
) -> dict[str, Images]:
    """The images drawn here by key.

    Raises:
        EvenhandError: One cannot be drawn, or has non-finite pixels.
    """
    workbench.progress.start(f"{planned.use.label}: draw again", len(jobs))
    try:
        planned.drawing.draw(list(jobs), store=store, progress=workbench.progress)
    except EvenhandError:
        raise
    # A forged intervention can make the code of its method raise anything.
    except Exception as fault:
        raise EvenhandError(
            f"the intervention of {planned.use.label} cannot be applied ({fault!r:.200})"
        ) from fault
    workbench.progress.finish()
    found = {job.key: store.get(job.key) for job in jobs}
    drawn = {key: made[0] for key, made in found.items() if made is not None and made[1] == "ok"}
    if missing := [job for job in jobs if job.key not in drawn]:
        raise EvenhandError(
            f"the image of {planned.use.label} of {missing[0].text!r:.80} with seed "
            f"{missing[0].item.seed} has non-finite pixels here"
        )
    return drawn


def _judged(keys: Sequence[str], *, store: ImageStore, workbench: Workbench, folder: Path) -> pd.DataFrame:
    """Labels of images of people by every judge."""
    table = Table(folder, "labels", keys=("key", "judge", "attribute"))
    workbench.progress.start("judge again", len(keys) * len(workbench.judges))
    judge_images(
        workbench.judges,
        dict.fromkeys(workbench.judges, keys),
        attributes=workbench.evaluation.evaluation_config.attributes,
        store=store,
        table=table,
        progress=workbench.progress,
    )
    workbench.progress.finish()
    rows = table.read()
    return rows[rows["key"].isin(set(keys))] if len(rows) else rows


def _other_image(planned: MethodImages, job: Job, distance: float, *, exact: bool) -> str:
    where = "on this kind of processor, where they must be equal" if exact else "on average"
    return (
        f"the image of {planned.use.label} of {job.text!r:.80} with seed {job.item.seed} differs from the "
        f"one drawn here by {distance:.3g} of 255 grey levels {where}"
    )
