"""Regenerates images, labels and scores of an entry with the installed model, method and judges."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.scores import with_preservation
from evenhand.bench.leaderboard.source import check_installed
from evenhand.bench.leaderboard.suite import KnownSuite
from evenhand.bench.leaderboard.tables import ALIGNMENT, PRESERVATION, pixel_hash
from evenhand.bench.models.loading import load_model_of, open_sampler
from evenhand.bench.models.sampler import BatchSampler
from evenhand.bench.prompts.plan import Item
from evenhand.bench.registry.entry_points import JUDGES
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.bench.registry.method_spec import MethodUse, method_class
from evenhand.bench.results.entry import Entry
from evenhand.bench.results.result import BASE, JudgeCard
from evenhand.bench.stages.fit import CountedJudge, CountedSample, fit
from evenhand.bench.stages.generate import Drawing, Job
from evenhand.bench.stages.label import alignment, image_chunks, judge_images
from evenhand.bench.stages.progress import Progress
from evenhand.bench.stages.resources import load_scorer
from evenhand.bench.storage.fits import LATER
from evenhand.bench.storage.images import ImageStore
from evenhand.bench.storage.tables import Table
from evenhand.methods.base import Intervention
from evenhand.methods.saving import load
from evenhand.metrics.judges.base import Judge
from evenhand.metrics.judges.clip_scorer import ClipScorer
from evenhand.metrics.table import PERSON_KINDS

Jobs = Mapping[int, Job]
"""Rows of the plan to regenerated images."""


@dataclass(eq=False)
class Reproduction:
    """The model, method, judges and scorer of an entry, as installed here.

    Attributes:
        entry: The entry.
        known: The suite of the entry.
        scratch: Folder for temporary files.
        progress: Reports progress.
        images: Folder of images that are kept and reused; in ``scratch`` if ``None``.
    """

    entry: Entry
    known: KnownSuite
    scratch: Path
    progress: Progress
    images: Path | None = None

    @cached_property
    def sampler(self) -> BatchSampler:
        """The sampler for the model and protocol of the suite.

        Raises:
            EvenhandError: The installed model has another revision than that of the entry.
        """
        suite, spec = self.known.suite, self.entry.result.spec
        model = load_model_of(suite)
        if model.revision != spec.model_revision:
            raise EvenhandError(
                f"model {suite.model!r} has revision {model.revision[:12]} here, but the entry used "
                f"{spec.model_revision[:12]}; verify where this revision is installed"
            )
        return open_sampler(model, suite.protocol)

    @cached_property
    def use(self) -> MethodUse:
        """The method with the parameters of the entry.

        Raises:
            EvenhandError: The installed method has another version or other code, or rejects the parameters.
        """
        card = self.entry.result.spec.method
        check_installed(self.entry)
        method = method_class(card.name)
        if method.info.version != card.version:
            raise EvenhandError(
                f"method {card.name!r} has version {method.info.version} here, but the entry used "
                f"{card.version}; verify with that version"
            )
        later = {name: value for name, value in LATER.items() if name in method.model_fields}
        try:
            return MethodUse(
                label=card.label,
                method=method.model_validate(later | card.parameters),
                fit=card.fit,
                fit_of=card.fit_of,
            )
        except ValueError as fault:
            reason = " ".join(str(fault).split())
            raise EvenhandError(
                f"method {card.name!r} rejects the parameters of the entry ({reason:.200}); "
                "submit the run again"
            ) from fault

    @cached_property
    def store(self) -> ImageStore:
        """The image store."""
        return ImageStore(self.images or self.scratch / "images")

    @cached_property
    def scorer(self) -> ClipScorer | None:
        """The scorer of the suite, if it has one."""
        return load_scorer(self.known.suite.scorer) if self.known.suite.scorer else None

    @property
    def protocol(self) -> str:
        """The protocol as in the keys of images."""
        return self.known.suite.protocol.model_dump_json()

    def intervention(self, folder: Path | None) -> Intervention:
        """The intervention in ``folder``, which must be that of the entry; if ``None``, fit the method again.

        Raises:
            EvenhandError: The folder has another intervention, or fitting needs a judge that is not
                registered.
        """
        if folder is not None:
            return self._load_intervention(folder)
        judge = self.use.method.steering_judge
        if judge is not None and judge not in JUDGES.names():
            raise EvenhandError(
                f"fitting {self.use.label!r} needs the judge {judge!r:.80}, whose parameters come from the "
                "untrusted entry; give the intervention with --run or --intervention"
            )
        if self.use.method.pretrained:
            raise EvenhandError(
                f"fitting {self.use.label!r} loads {', '.join(self.use.method.pretrained):.80}, which the "
                "untrusted entry names; give the intervention with --run or --intervention"
            )
        self.progress.start(f"{self.use.label}: fit", 0)
        fitted = fit(
            self.use,
            suite=self.known.suite,
            concepts=self.known.concepts,
            sample=CountedSample(self.sampler, self.store, self.protocol, self.progress),
            judge=CountedJudge(judge, load_judge(judge) if judge else None),
            image_features=self.scorer.embed if self.scorer else None,
            clip=self.scorer,
            folder=self.scratch / "intervention",
        )
        self.progress.finish()
        return fitted.intervention

    def _load_intervention(self, folder: Path) -> Intervention:
        if not folder.is_dir():
            raise EvenhandError(
                f"{folder}: no intervention found; give that of the submitted run, or drop --run and "
                "--intervention to fit the method again"
            )
        found, stated = load(folder, type(self.use.method)), self.entry.result.spec.method.intervention
        if found.digest() != stated:
            raise EvenhandError(
                f"{folder}: intervention is {found.digest()[:12]}, but that of the entry is "
                f"{stated[:12]}; give "
                "that of the submitted run, or drop --run and --intervention to fit the method again"
            )
        return found

    def draw(
        self, intervention: Intervention, rows: Sequence[int], *, items: Sequence[Item] = ()
    ) -> tuple[Jobs, dict[str, str]]:
        """Generate images; also returns the status of every image by key.

        Args:
            intervention: The fitted method.
            rows: Rows of the plan.
            items: The plan; that of the suite if empty.
        """
        drawing = Drawing(intervention, sampler=self.sampler, protocol=self.protocol)
        planned = drawing.jobs(items or self.known.items)
        jobs = {row: planned[row] for row in rows}
        self.progress.start(f"{self.use.label}: generate", len(jobs))
        statuses = drawing.draw(list(jobs.values()), store=self.store, progress=self.progress)
        self.progress.finish()
        return jobs, statuses

    def pixels(self, job: Job) -> str:
        """The pixel hash of a generated image."""
        found = self.store.get(job.key)
        assert found is not None
        return pixel_hash(found[0])

    @cached_property
    def judges(self) -> list[Judge]:
        """The judges of the suite.

        Raises:
            EvenhandError: An installed judge has another version than that of the entry.
        """
        return [_judge(card) for card in self.known.judges(self.entry.result.spec)]

    def label(self, jobs: Jobs, *, judges: Sequence[Judge] = ()) -> pd.DataFrame:
        """Label the images of people; returns rows of the label table.

        Args:
            jobs: The images.
            judges: The judges; all judges of the suite if empty.
        """
        people = [job.key for job in jobs.values() if job.item.prompt.kind in PERSON_KINDS]
        keys, judges = list(dict.fromkeys(people)), judges or self.judges
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        table = Table(folder, "labels", keys=("key", "judge", "attribute"))
        self.progress.start(f"{self.use.label}: judge", len(keys) * len(judges))
        judge_images(
            {judge.info.name: judge for judge in judges},
            {judge.info.name: keys for judge in judges},
            attributes=self.known.evaluation_config.attributes,
            store=self.store,
            table=table,
            progress=self.progress,
        )
        self.progress.finish()
        return table.read()

    def score(self, images: pd.DataFrame, jobs: Jobs) -> pd.DataFrame:
        """The scores of regenerated images, with the rows of ``jobs``; no columns without a scorer.

        Args:
            images: The image table of the entry, for the prompts.
            jobs: The regenerated images.
        """
        if self.scorer is None:
            return pd.DataFrame(index=list(jobs))
        rows = images.loc[list(jobs)].assign(key=[job.key for job in jobs.values()])
        vectors = self.vectors(rows["key"])
        found = pd.DataFrame({ALIGNMENT: alignment(rows, vectors, self.scorer.embed_texts)}, index=rows.index)
        return found.assign(**{PRESERVATION: self._preservation(images, rows)})

    def _preservation(self, images: pd.DataFrame, rows: pd.DataFrame) -> pd.Series:
        """The distance to the images of the baseline; its unit depends on all unrelated images."""
        unrelated = images[images["kind"] == "unrelated"]
        if unrelated.index.isin(rows.index).sum() == 0:
            return pd.Series(np.nan, index=rows.index)
        jobs, statuses = self.draw(Intervention(), unrelated.index.tolist())
        keys = [job.key for job in jobs.values()]
        base = unrelated.assign(method=BASE, key=keys, status=[statuses[key] for key in keys])
        own = rows.reindex(unrelated.index)[["key", "status"]]
        own = unrelated.assign(
            method=f"{self.use.label} again", key=own["key"].fillna(""), status=own["status"].fillna("error")
        )
        both = pd.concat([base, own], ignore_index=True).drop(columns=PRESERVATION)
        vectors = self.vectors(both.loc[both["status"] == "ok", "key"])
        found = with_preservation(both, vectors, taxonomy=self.known.evaluation_config.taxonomy)
        return pd.Series(found[PRESERVATION].to_numpy()[len(base) :], index=unrelated.index)

    def vectors(self, keys: pd.Series) -> dict[str, NDArray[np.float32]]:
        """Keys to the scorer's embeddings of their images; the suite must have a scorer."""
        assert self.scorer is not None
        found: dict[str, NDArray[np.float32]] = {}
        for chunk, images, _ in image_chunks(list(dict.fromkeys(keys)), self.store):
            found |= zip(chunk, self.scorer.embed(images), strict=True)
        return found


def _judge(card: JudgeCard) -> Judge:
    judge = load_judge(card.name)
    if judge.info.version != card.version:
        raise EvenhandError(
            f"judge {card.name!r} has version {judge.info.version} here, but the entry used {card.version}; "
            "verify where that version is installed"
        )
    return judge
