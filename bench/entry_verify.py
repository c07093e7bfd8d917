"""Verifying an entry: its intervention made again, a sample of its pictures drawn and judged again."""

from __future__ import annotations

import hashlib
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from evenhand.bench.entry_check import LEAST_AGREEMENT, agrees
from evenhand.bench.entry_suite import KnownSuite, known_suite
from evenhand.bench.entry_tables import Tables, pixel_hash, read_tables
from evenhand.bench.errors import EvenhandError
from evenhand.bench.fitting import CountedJudge, CountedSample, fit
from evenhand.bench.generate import Drawing, Job
from evenhand.bench.judge_spec import load_judge
from evenhand.bench.judging import judge_pictures
from evenhand.bench.method_spec import MethodUse, method_class
from evenhand.bench.models import load_model, quiet_loaders
from evenhand.bench.progress import Progress
from evenhand.bench.resources import load_scorer
from evenhand.bench.result import Entry, JudgeCard, Verification
from evenhand.bench.sampler import Sampler
from evenhand.bench.store import PictureStore, Table, folder_name, write_atomically
from evenhand.methods.base import Intervention, load
from evenhand.metrics.judges.base import Judge
from evenhand.metrics.table import PERSON_KINDS
from evenhand.reports.published import ENTRY_FILE, VERIFICATION_FILE, load_entry


def verify(
    folder: Path,
    *,
    pictures: int,
    seed: int | None = None,
    run: Path | None = None,
    intervention: Path | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Make a random sample of an entry's pictures and labels again, and write down how many agree.

    Without a run and an intervention the method is fitted anew with the entry's parameters, at the cost that
    the entry states. ``verification.json`` is written beside ``entry.json`` if the sample agrees.

    Args:
        folder: The entry's folder, with its tables.
        pictures: Size of the sample.
        seed: Seed of the sample; one that nobody can foresee if ``None``.
        run: Run whose intervention is used; of the entry's method.
        intervention: Folder of an intervention, as a run has it in ``interventions``.
        progress: Told of every step.

    Raises:
        EvenhandError: The entry has no tables or is not valid, what it was made with is not installed here,
            or the sample does not agree; what was found is in the message.
    """
    if run is not None and intervention is not None:
        raise EvenhandError("a run has an intervention of its own; give --run or --intervention")
    if pictures < 1:
        raise EvenhandError(f"a sample of {pictures} pictures shows nothing; give --pictures of at least 1")
    entry, known = _checked(folder)
    if run is not None:
        intervention = run / "interventions" / folder_name(entry.result.spec.method.label)
    tables = read_tables(folder, entry, known)
    seed = secrets.randbelow(2**32) if seed is None else seed
    rows = _sample(tables.pictures, pictures, seed)
    with tempfile.TemporaryDirectory() as scratch, quiet_loaders(), progress or Progress(quiet=True) as shown:
        work = _Workshop(entry, known, Path(scratch), shown)
        made = work.intervention(intervention)
        jobs = work.draw(made, rows)
        stated = [tables.pictures["pixels"].iat[row] for row in rows]
        same_pictures = sum(work.pixels(job) == pixels for job, pixels in zip(jobs, stated, strict=True))
        labels = _side_by_side(work.label(jobs), tables, dict(zip(rows, jobs, strict=True)))
    found = Verification(
        entry=hashlib.sha256((folder / ENTRY_FILE).read_bytes()).hexdigest(),
        evenhand=version("evenhand"),
        device=work.sampler.model.device.type,
        fitted=intervention is None,
        same_intervention=made.digest() == entry.result.spec.method.intervention,
        seed=seed,
        pictures=len(rows),
        same_pictures=same_pictures,
        labels=len(labels),
        same_labels=int((labels["label"] == labels["label_stated"]).sum()),
        furthest=_furthest(labels),
    )
    if not agrees(found):
        raise EvenhandError(f"entry {folder.name!r} is not verified: {in_words(found)}")
    data = found.model_dump_json(indent=1) + "\n"
    write_atomically(folder / VERIFICATION_FILE, data.encode())
    return found


def in_words(found: Verification) -> str:
    """What a verification found, and which guarantee holds."""
    facts = (
        f"{found.same_pictures} of {found.pictures} pictures have the same bytes, {found.same_labels} of "
        f"{found.labels} labels are the same, the largest difference of a probability is {found.furthest:.2g}"
    )
    if found.same_bytes:
        return f"{facts}; same bytes"
    needed = f"{LEAST_AGREEMENT:.0%} of the labels"
    return f"{facts}; near: at least {needed}" if agrees(found) else f"{facts}; less than {needed}"


def _checked(folder: Path) -> tuple[Entry, KnownSuite]:
    entry = load_entry(folder)
    spec = entry.result.spec
    known = known_suite(spec)
    if not entry.files:
        raise EvenhandError(
            f"entry {folder.name!r} has no tables, so there is nothing to compare with; submit the run again"
        )
    if known is None:
        raise EvenhandError(
            f"suite {spec.suite!r} version {spec.suite_version} ({spec.suite_digest[:8]}) of entry "
            f"{folder.name!r} is not registered here; install it"
        )
    return entry, known


def _sample(pictures: pd.DataFrame, count: int, seed: int) -> list[int]:
    """Rows of pictures that were made, drawn without replacement and in order."""
    made = np.flatnonzero(pictures["status"] == "ok")
    chosen = np.random.default_rng(seed).choice(made, size=min(count, len(made)), replace=False)
    return [int(row) for row in np.sort(chosen)]


@dataclass(eq=False)
class _Workshop:
    """What an entry's pictures are made again with."""

    entry: Entry
    known: KnownSuite
    scratch: Path
    progress: Progress

    @cached_property
    def sampler(self) -> Sampler:
        """The suite's model and protocol.

        Raises:
            EvenhandError: The model here is another than the entry's.
        """
        suite, spec = self.known.suite, self.entry.result.spec
        model = load_model(suite.model, precision=suite.protocol.precision)
        if model.revision != spec.model_revision:
            raise EvenhandError(
                f"model {suite.model!r} is revision {model.revision[:12]} here, the entry used "
                f"{spec.model_revision[:12]}; verify where the entry's model is installed"
            )
        return Sampler(model, suite.protocol)

    @cached_property
    def use(self) -> MethodUse:
        """The method with the entry's parameters.

        Raises:
            EvenhandError: The method here has another version, or does not know the parameters.
        """
        card = self.entry.result.spec.method
        method = method_class(card.name)
        if method.info.version != card.version:
            raise EvenhandError(
                f"method {card.name!r} has version {method.info.version} here, the entry used "
                f"{card.version}; verify with that version"
            )
        try:
            return MethodUse(label=card.label, method=method.model_validate(card.parameters))
        except ValueError as fault:
            raise EvenhandError(f"method {card.name!r} refuses the entry's parameters: {fault}") from fault

    @cached_property
    def store(self) -> PictureStore:
        """Where pictures lie meanwhile."""
        return PictureStore(self.scratch / "pictures")

    @property
    def protocol(self) -> str:
        """The protocol as a picture's key has it."""
        return self.known.suite.protocol.model_dump_json()

    def intervention(self, folder: Path | None) -> Intervention:
        """The intervention in ``folder``, or the method's, fitted anew."""
        if folder is not None:
            return load(folder, type(self.use.method))
        suite, judge = self.known.suite, self.use.method.steering_judge
        scorer = load_scorer(suite.scorer) if suite.scorer else None
        self.progress.start(f"{self.use.label}: fit", 0)
        fitted = fit(
            self.use,
            suite=suite,
            concepts=self.known.concepts,
            sample=CountedSample(self.sampler, self.store, self.protocol, self.progress),
            judge=CountedJudge(judge, load_judge(judge) if judge else None),
            image_features=scorer.embed if scorer else None,
            clip=scorer,
            folder=self.scratch / "intervention",
        )
        self.progress.finish()
        return fitted.intervention

    def draw(self, intervention: Intervention, rows: Sequence[int]) -> list[Job]:
        """Draw the pictures of these rows of the plan."""
        drawing = Drawing(intervention, sampler=self.sampler, protocol=self.protocol)
        planned = drawing.jobs(self.known.items)
        jobs = [planned[row] for row in rows]
        self.progress.start(f"{self.use.label}: generate", len(jobs))
        statuses = drawing.draw(jobs, store=self.store, progress=self.progress)
        self.progress.finish()
        for job in jobs:
            if statuses[job.key] != "ok":
                raise EvenhandError(
                    f"the picture of {job.text!r:.80} with seed {job.item.seed} is not finite here, and the "
                    "entry has one; look into the method"
                )
        return jobs

    def pixels(self, job: Job) -> str:
        """The hash of a picture that was drawn."""
        found = self.store.get(job.key)
        assert found is not None
        return pixel_hash(found[0])

    def label(self, jobs: Sequence[Job]) -> pd.DataFrame:
        """The labels of the people among the pictures.

        Raises:
            EvenhandError: A judge here has another version than the entry's.
        """
        keys = list(dict.fromkeys(job.key for job in jobs if job.item.prompt.kind in PERSON_KINDS))
        table = Table(self.scratch, "labels", keys=("key", "judge", "attribute"))
        cards = self.known.judges(self.entry.result.spec)
        self.progress.start(f"{self.use.label}: judge", len(keys) * len(cards))
        for card in cards:
            judge_pictures(
                _judge(card),
                keys=keys,
                attributes=self.known.yardstick.attributes,
                store=self.store,
                table=table,
                done=set(),
                progress=self.progress,
            )
        self.progress.finish()
        return table.read()


def _judge(card: JudgeCard) -> Judge:
    judge = load_judge(card.name)
    if judge.info.version != card.version:
        raise EvenhandError(
            f"judge {card.name!r} has version {judge.info.version} here, the entry used {card.version}; "
            "verify where the entry's judge is installed"
        )
    return judge


def _side_by_side(again: pd.DataFrame, tables: Tables, jobs: Mapping[int, Job]) -> pd.DataFrame:
    """The labels given again beside those of the entry, whose keys may be others."""
    drawn = {tables.pictures["key"].iat[row]: job.key for row, job in jobs.items()}
    place = ["key", "judge", "attribute"]
    if again.empty:
        return pd.DataFrame(columns=["label", "label_stated"])
    stated = tables.labels[tables.labels["key"].isin(set(drawn))]
    stated = stated.assign(key=stated["key"].map(drawn))
    return again.merge(stated, on=place, suffixes=("", "_stated"), validate="one_to_one")


def _furthest(labels: pd.DataFrame) -> float:
    """The largest difference of a probability; 0 where there is no label."""
    pairs = zip(labels["probabilities"], labels["probabilities_stated"], strict=True) if len(labels) else ()
    return max((float(np.abs(np.subtract(one, other)).max()) for one, other in pairs), default=0.0)
