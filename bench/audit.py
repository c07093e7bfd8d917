"""Auditing images that were made elsewhere: take in, judge, measure, write. Nothing is generated.

From the store on, the way is that of a run. What made the images is known from their list alone, so the
results name no protocol, no fit and no cost of making them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import pandas as pd
import torch

from evenhand.bench.engines import check_engine, start
from evenhand.bench.engines.prefetch import JudgePrefetch
from evenhand.bench.engines.worker import Assignment
from evenhand.bench.errors import EvenhandError, IncompleteRunError, unknown
from evenhand.bench.external_images.anchor_file import Anchors, read_anchors
from evenhand.bench.external_images.image_files import SUFFIXES, take_in
from evenhand.bench.external_images.image_list import ImageList, read_list
from evenhand.bench.models.loading import quiet_loaders
from evenhand.bench.report import write_report
from evenhand.bench.results.result import BASE, Cost, MethodCard, Run
from evenhand.bench.results.text import plural
from evenhand.bench.stages.measure import Evaluation
from evenhand.bench.stages.progress import Progress
from evenhand.bench.stages.write import Provenance, Subject, machine, result_of
from evenhand.bench.storage.run_folder import RunFolder, load_run
from evenhand.bench.storage.store import locked
from evenhand.bench.suites.audit_config import Audit, evaluation_config_for
from evenhand.bench.suites.targets import UNIFORM
from evenhand.metrics.estimation.anchors import confusion_from_anchors
from evenhand.metrics.table import PERSON_KINDS

FAMILY = "images"
"""Family of what made images elsewhere, in the results."""

GUARANTEE = "same numbers from the same images on the same packages and processor kind"

NAMED = 3
"""Files that a message names before it counts the rest."""


def audit(
    folder: Path,
    *,
    prompts: Path,
    suite: str | None = None,
    judges: Sequence[str] = (),
    anchors: Path | None = None,
    calibration: str | None = None,
    base: str | None = None,
    name: str | None = None,
    out: Path | None = None,
    engine: str = "local",
    workers: int = 0,
    progress: Progress | None = None,
) -> Run:
    """Judge and measure a folder of images; a second call judges nothing again.

    Args:
        folder: The images: PNG, JPEG or WebP, in subfolders or not.
        prompts: The CSV that says what each image was asked to show.
        suite: Suite whose judges, attributes and target are used; its model and prompts are not.
        judges: Judges that vote, instead of a suite.
        anchors: CSV of labels that people gave to some of the images, from which judges are corrected.
        calibration: Confusion counts instead of the suite's; see :func:`load_confusion`.
        base: The model that others are compared with; the one called ``base`` if ``None``, if there is one.
        name: Name of the audit; the folder's if ``None``.
        out: The run's folder; ``runs/<name>`` if ``None``.
        engine: Where images are judged: one of :data:`evenhand.bench.engines.ENGINES`; the bytes are the
            same.
        workers: Workers that judge; 0 for one per accelerator, or on the CPU for this process alone.
        progress: Told of every step.

    Returns:
        The run as :func:`load_run` reads it.

    Raises:
        EvenhandError: A fault the user can mend.
        IncompleteRunError: Some files gave no image; everything is written and counts them.
    """
    check_engine(engine, workers=workers)
    if anchors is not None and calibration is not None:
        raise EvenhandError("anchors and a calibration are two corrections; give --anchors or --calibration")
    if not folder.is_dir():
        raise EvenhandError(f"image folder {folder} does not exist; give the folder of the images")
    named = name or folder.resolve().name
    origin, evaluation_config = evaluation_config_for(suite=suite, judges=judges, calibration=calibration)
    if anchors is not None:
        evaluation_config = evaluation_config.model_copy(update={"calibration": ""})
    listed = read_list(prompts, taxonomy=evaluation_config.attributes, model=named)
    _check_files(folder, listed, prompts)
    spec = Audit(
        **dict(evaluation_config),
        name=named,
        suite=origin,
        images=listed.card.digest,
        base=_base(base, listed),
    )
    target = out or Path("runs") / named
    with locked(target), quiet_loaders(), progress or Progress() as shown:
        session = _Session(spec, folder, listed, anchors, RunFolder(target), shown, engine, workers)
        session.run()
    return load_run(target)


def _base(name: str | None, listed: ImageList) -> str | None:
    if name is not None and name not in listed.models:
        raise unknown("model of the list for --base:", name, listed.models)
    if name is None and BASE in listed.models:
        return BASE
    return name


def _check_files(folder: Path, listed: ImageList, prompts: Path) -> None:
    missing = [row.file for row in listed.rows if not (folder / row.file).is_file()]
    if missing:
        raise EvenhandError(
            f"image list {prompts} names {_named(missing)}, which {folder} does not hold; "
            "mend the list or the folder"
        )


def _named(files: Sequence[str]) -> str:
    more = len(files) - NAMED
    return ", ".join(map(repr, files[:NAMED])) + (f" and {more} more" if more > 0 else "")


@dataclass
class _Session:
    """One audit in progress."""

    audit: Audit
    folder: Path
    listed: ImageList
    anchors: Path | None
    work: RunFolder
    progress: Progress
    engine: str
    workers: int

    def run(self) -> None:
        """Load, take the folder, and carry the audit out."""
        self._load()
        self.work.claim_audit(self.audit)
        with self.work.at_work(f"audit {self.audit.name}"):
            self._carry_out()

    def _carry_out(self) -> None:
        """Every phase in order; each finds what an earlier, interrupted session left."""
        images = self._take_in()
        anchors = self._read_anchors(images)
        self._prefetch(images)
        timed = partial(self.work.timed, "judge_seconds", machine=machine(_device()))
        labels = self.evaluation.judge(images, timed=timed)
        vectors = self.evaluation.embed(images)
        measured = self.evaluation.measure(
            images,
            labels,
            vectors,
            concepts=self.listed.concepts,
            base=self.audit.base,
            paired_noise=self.listed.has_seeds,
            confusion=None if anchors is None else self._confusion(images, anchors),
        )
        self.work.image_table.finish(images)
        provenance = self._provenance(self._notes(images, anchors))
        subjects = [_subject(str(model), rows) for model, rows in images.groupby("method", sort=False)]
        self.work.write_results(
            [result_of(s, provenance=provenance, measured=measured) for s in subjects], alone=True
        )
        write_report(self.work.root)
        self._check_complete(images)

    @cached_property
    def evaluation(self) -> Evaluation:
        return Evaluation(self.audit, self.work, self.progress)

    def _load(self) -> None:
        """Load all that the audit names, so that a fault in it shows before the folder is taken."""
        self.progress.start("load", 0)
        self.evaluation.load()
        if self.audit.target != UNIFORM and not self.listed.concepts:
            raise EvenhandError(
                "the suite's target is about neutral prompts, and the list has none; add some or use --judge"
            )
        self.audit.targets(self.listed.concepts)
        self.progress.finish()

    def _take_in(self) -> pd.DataFrame:
        """The image table, with every readable image in the store."""
        images, store = self.listed.table(), self.work.images
        self.progress.start("read", len(images))
        taken = []
        for file in images["file"]:
            taken.append(take_in(self.folder / file, store))
            self.progress.advance()
        self.progress.finish()
        images["key"] = [one.key for one in taken]
        images["status"] = [one.status for one in taken]
        images["reason"] = [one.reason for one in taken]
        images["path"] = [
            store.path(one.key).relative_to(store.root.parent).as_posix() if one.status == "ok" else ""
            for one in taken
        ]
        if not (images["status"] == "ok").any():
            first = images.iloc[0]
            raise EvenhandError(f"no listed image can be used; {first['file']!r} {first['reason']}")
        return images

    def _read_anchors(self, images: pd.DataFrame) -> Anchors | None:
        if self.anchors is None:
            return None
        people = images[(images["status"] == "ok") & images["kind"].isin(PERSON_KINDS)]
        keys = dict(zip(people["file"], people["key"], strict=True))
        anchors = read_anchors(self.anchors, keys=keys, taxonomy=self.audit.attributes)
        self.audit = self.audit.model_copy(update={"anchors": anchors.digest})
        self.work.claim_audit(self.audit)
        return anchors

    def _prefetch(self, images: pd.DataFrame) -> None:
        """Let the engine's workers, if there are any, judge what is missing; the phase then finds it done."""
        assignment = Assignment(run=self.work.root.resolve())
        pool = start(self.engine, workers=self.workers, device=_device(), assignment=assignment)
        if pool is None:
            return
        ahead = JudgePrefetch(self.evaluation, partial(self.work.spend, machine=machine(_device())))
        there = images[images["status"] == "ok"]
        with pool:
            ahead.make(
                pool,
                {
                    str(model): dict(zip(rows["key"], rows["kind"], strict=True))
                    for model, rows in there.groupby("method", sort=False)
                },
            )

    def _confusion(self, images: pd.DataFrame, anchors: Anchors) -> pd.DataFrame:
        labels = self.evaluation.labels(set(images["key"]))
        return confusion_from_anchors(
            labels, anchors.table, taxonomy=self.audit.attributes, members=self.audit.panel
        )

    def _provenance(self, notes: Sequence[str]) -> Provenance:
        audit = self.audit
        return Provenance(
            name=audit.name,
            version=audit.version,
            digest=audit.digest(),
            evaluation_config=audit,
            protocol={},
            balanced=tuple(name for name in audit.attributes if name in audit.primary),
            device=_device().type,
            guarantee=GUARANTEE,
            prompt_sets=(self.listed.card,),
            judges=self.evaluation.judges,
            concepts=self.listed.concepts,
            notes=tuple(notes),
        )

    def _notes(self, images: pd.DataFrame, anchors: Anchors | None) -> list[str]:
        """What a reader must know besides the measurement's own remarks."""
        judged = f"those of suite {self.audit.suite}" if self.audit.suite else "named for this audit"
        notes = [
            "the images were made elsewhere; what made them, and from which prompt, is as their list says",
            f"judges, attributes and target are {judged}",
        ]
        if anchors is not None:
            notes.append(anchors.remark())
        elif not self.evaluation.confusion.empty:
            notes.append(
                f"the judges' error is corrected by the table {self.audit.calibration!r}, measured on other "
                "images; the correction is not verified on these"
            )
        if self.evaluation.scorer is None:
            notes.append("alignment is not measured: no scorer was named")
        if unlisted := self._unlisted():
            notes.append(
                f"{plural(len(unlisted), 'image')} of the folder not listed, left out: {_named(unlisted)}"
            )
        lost = images[images["status"] != "ok"].groupby(["method", "reason"], sort=False)["file"]
        return notes + [
            f"{model}: {_named(list(files))} {reason}; undetermined" for (model, reason), files in lost
        ]

    def _unlisted(self) -> list[str]:
        """Images in the folder that the list does not name; those of a run inside it are none."""
        listed, own = {row.file for row in self.listed.rows}, self.work.root.resolve()
        found = sorted(
            path.relative_to(self.folder).as_posix()
            for path in self.folder.rglob("*")
            if path.suffix.lower() in SUFFIXES and path.is_file() and own not in path.resolve().parents
        )
        return [file for file in found if file not in listed]

    def _check_complete(self, images: pd.DataFrame) -> None:
        lost = images[images["status"] != "ok"]
        if len(lost):
            first = lost.iloc[0]
            raise IncompleteRunError(
                f"{len(lost)} of {len(images)} images cannot be used: {first['file']!r} "
                f"{first['reason']}; "
                f"they count as undetermined in {self.work.root / 'report.html'}; replace them, or take them "
                "out of the list, and run the same command again"
            )


def _subject(model: str, rows: pd.DataFrame) -> Subject:
    """What made some of the images; its revision is a digest of them."""
    card = MethodCard(
        label=model,
        name=model,
        version="",
        title=f"Images of {model}",
        summary="Images that were made elsewhere; how is not known here.",
        paper="",
        licence="",
        origin="",
        family=FAMILY,
        attributes="",
        needs_training_data=False,
        parameters={},
        steering_judge=None,
        intervention="",
    )
    cost = Cost(fit_images=0, fit_judgements=0, images=0, intervention_bytes=0)
    revision = hashlib.sha256("\n".join(sorted(rows["key"])).encode()).hexdigest()
    return Subject(card=card, model=model, revision=revision, cost=cost)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
