"""Making the images of one method: which key each planned image has, and drawing the missing ones."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.models.sampler import BatchSampler
from evenhand.bench.prompts.plan import Item, image_key
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.images import ImageStore
from evenhand.methods.base import Images, Intervention
from evenhand.methods.shared.randomness import image_stream


@dataclass(frozen=True)
class Job:
    """A planned image of one method.

    Attributes:
        item: What was planned.
        text: The text that is generated: the prompt, or what a prompt-level method made of it.
        variant: Name of the edited model, for methods with one model per concept.
        key: Content address of the image.
    """

    item: Item
    text: str
    variant: str
    key: str


class Drawing:
    """An intervention ready to draw planned images.

    A method that only rewrites prompts is drawn as the plain model on the rewritten text, so images
    that several methods have in common are drawn once.
    """

    def __init__(self, intervention: Intervention, *, sampler: BatchSampler, protocol: str) -> None:
        self.intervention = intervention
        self.sampler = sampler
        self.protocol = protocol

    @cached_property
    def _rewrites(self) -> bool:
        kind, plain = type(self.intervention), Intervention
        draws_plainly = kind.embedding is plain.embedding and kind.steer is plain.steer
        return kind.prompt is not plain.prompt and draws_plainly and not self.intervention.weights

    @cached_property
    def _variants(self) -> dict[str, Intervention]:
        """Edited model by name; the name is empty where one model serves all concepts."""
        if self.intervention.concept_weights:
            edits = self.intervention.concept_weights
            return {concept: Intervention(weights=edits[concept]) for concept in sorted(edits)}
        return {"": Intervention() if self._rewrites else self.intervention}

    @cached_property
    def _digests(self) -> dict[str, str]:
        blank = Intervention().digest()
        digests = {name: variant.digest() for name, variant in self._variants.items()}
        return {name: "" if digest == blank else digest for name, digest in digests.items()}

    def jobs(self, items: Iterable[Item]) -> list[Job]:
        """Every planned image with its key. Unedited concepts take the edited models in turn."""
        digest = self.intervention.digest()
        names = list(self._variants)
        jobs = []
        for number, item in enumerate(items):
            text = item.prompt.text
            if self._rewrites:
                text = self.intervention.prompt(text, image_stream(digest, text, item.seed))
            concept = item.prompt.concept
            variant = concept if concept in self._variants else names[number % len(names)]
            key = image_key(
                model=self.sampler.model.revision,
                protocol=self.protocol,
                intervention=self._digests[variant],
                prompt=text,
                seed=item.seed,
            )
            jobs.append(Job(item, text, variant, key))
        return jobs

    def draw(self, jobs: list[Job], *, store: ImageStore, progress: Progress) -> dict[str, str]:
        """Draw every job whose image is missing, torn or altered; returns each key's status."""
        statuses = store.statuses(job.key for job in jobs)
        missing = {job.key: job for job in jobs if job.key not in statuses}
        progress.advance(len(jobs) - len(missing))

        def done(part: dict[str, str]) -> None:
            store.remember(part)
            statuses.update(part)
            progress.advance(len(part))

        for variant, group in by_variant(missing.values()):
            self.draw_all(group, variant=variant, store=store, done=done)
        return statuses

    def draw_all(
        self,
        jobs: Sequence[Job],
        *,
        variant: str,
        store: ImageStore,
        done: Callable[[dict[str, str]], None],
    ) -> None:
        """Draw all of these jobs, which are of one variant, and tell after every batch the status by key."""

        def keep(start: int, images: Images, finite: NDArray[np.bool_]) -> None:
            batch = jobs[start : start + len(images)]
            statuses = {job.key: "ok" if ok else "error" for job, ok in zip(batch, finite, strict=True)}
            for job, image in zip(batch, images, strict=True):
                store.put(job.key, image, status=statuses[job.key])
            done(statuses)

        texts, seeds = [job.text for job in jobs], [job.item.seed for job in jobs]
        self.sampler.draw(texts, seeds, on_batch=keep, intervention=self._variants[variant])


def by_variant(jobs: Iterable[Job]) -> list[tuple[str, list[Job]]]:
    """The jobs of each variant, in the order of the variants' names."""
    ordered = sorted(jobs, key=lambda job: job.variant)
    return [
        (variant, list(group)) for variant, group in itertools.groupby(ordered, key=lambda job: job.variant)
    ]


def image_rows(method: str, jobs: list[Job], statuses: dict[str, str], store: ImageStore) -> pd.DataFrame:
    """The image table's rows of one method."""
    rows = [
        {
            "key": job.key,
            "path": store.named(job.key),
            "method": method,
            "prompt_id": job.item.prompt.id,
            "prompt": job.item.prompt.text,
            "text": job.text,
            "concept": job.item.prompt.concept,
            "template": job.item.prompt.template,
            "kind": job.item.prompt.kind,
            "cell": ";".join(f"{a}={g}" for a, g in job.item.prompt.cell.items()),
            "seed_index": job.item.seed_index,
            "seed": job.item.seed,
            "status": statuses[job.key],
        }
        for job in jobs
    ]
    return pd.DataFrame(rows)
