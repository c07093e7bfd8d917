"""Generates the images of one method: computes the key of each planned image, and draws missing ones."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.sampler import BatchSampler
from evenhand.bench.prompts.plan import Item, image_key
from evenhand.bench.stages.method_failure import method_at_work
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.images import ImageStore
from evenhand.methods.base import Images, Intervention
from evenhand.methods.shared.randomness import image_stream


@dataclass(frozen=True)
class Job:
    """A planned image of one method.

    Attributes:
        item: The planned image.
        text: The text given to the model: the prompt, possibly rewritten by the method.
        variant: Name of the edited model, for methods with one model per concept.
        key: Content address of the image.
    """

    item: Item
    text: str
    variant: str
    key: str


class Drawing:
    """Generates planned images with an intervention.

    For methods that only rewrite prompts, images are keyed as baseline images of the rewritten text, so
    images that several methods share are generated only once.
    """

    def __init__(self, intervention: Intervention, *, sampler: BatchSampler, protocol: str) -> None:
        self.intervention = intervention
        self.sampler = sampler
        self.protocol = protocol

    @property
    def _is_baseline(self) -> bool:
        return type(self.intervention) is Intervention and not any(self._digests.values())

    @cached_property
    def _rewrites(self) -> bool:
        kind, baseline = type(self.intervention), Intervention
        acts_inside = kind.embedding is not baseline.embedding or kind.steer is not baseline.steer
        return kind.prompt is not baseline.prompt and not acts_inside and not self.intervention.weights

    @cached_property
    def _variants(self) -> dict[str, Intervention]:
        """Edited models by name; the name is empty if there is one model for all concepts."""
        if self.intervention.concept_weights:
            edits = self.intervention.concept_weights
            return {concept: Intervention(weights=edits[concept]) for concept in sorted(edits)}
        return {"": Intervention() if self._rewrites else self.intervention}

    @cached_property
    def _digests(self) -> dict[str, str]:
        baseline = Intervention().digest()
        digests = {name: variant.digest() for name, variant in self._variants.items()}
        return {name: "" if digest == baseline else digest for name, digest in digests.items()}

    def digest(self, job: Job) -> str:
        """Digest of the intervention in the key of an image; empty if the model itself draws it."""
        return self._digests[job.variant]

    def jobs(self, items: Iterable[Item]) -> list[Job]:
        """All planned images with keys. Concepts without an edited model use those of the others in turn."""
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
        """Generate all images that are missing or damaged; returns the status of every key."""
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
        """Generate images of ``jobs``, all of one variant; call ``done`` with statuses after every batch.

        Raises:
            EvenhandError: The model draws no finite image in the first batch. Only without an edit: that a
                method breaks the model is a result, and recorded.
            MethodError: The method cannot draw with its parameters.
        """

        def keep(start: int, images: Images, finite: NDArray[np.bool_]) -> None:
            if start == 0 and not finite.any() and not self._digests[variant]:
                raise EvenhandError(
                    f"model {self.sampler.model.name!r} draws non-finite pixels in all of its first "
                    f"{len(finite)} images; set another precision in the protocol of the suite, such as "
                    '"bfloat16" or "float32", or check the weights of the model'
                )
            batch = jobs[start : start + len(images)]
            statuses = {job.key: "ok" if ok else "error" for job, ok in zip(batch, finite, strict=True)}
            for job, image in zip(batch, images, strict=True):
                store.put(job.key, image, status=statuses[job.key])
            done(statuses)

        texts, seeds = [job.text for job in jobs], [job.item.seed for job in jobs]
        with nullcontext() if self._is_baseline else method_at_work():
            self.sampler.draw(texts, seeds, on_batch=keep, intervention=self._variants[variant])


def by_variant(jobs: Iterable[Job]) -> list[tuple[str, list[Job]]]:
    """The jobs grouped by variant, sorted by its name."""
    ordered = sorted(jobs, key=lambda job: job.variant)
    return [
        (variant, list(group)) for variant, group in itertools.groupby(ordered, key=lambda job: job.variant)
    ]


def image_rows(method: str, jobs: list[Job], statuses: dict[str, str], store: ImageStore) -> pd.DataFrame:
    """The rows of the image table for one method."""
    rows = [
        {
            "key": job.key,
            "path": store.relative_path(job.key),
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
