"""Audits of external images: import, judge, measure, write. Nothing is generated.

After the import, an audit works like a run. Only the image list says which model generated the images, so
the results have no protocol, no fit and no generation cost.
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
from evenhand.bench.external_images.answer_sheet import ANSWERS_FILE, answer_sheet
from evenhand.bench.external_images.drafted_list import DRAFT_FILE, Draft, draft_list, images_in
from evenhand.bench.external_images.image_checks import (
    check_domains,
    distance_notes,
    duplicate_notes,
    named,
    panel_notes,
    undetermined_notes,
)
from evenhand.bench.external_images.image_files import import_image
from evenhand.bench.external_images.image_list import ImageList, read_list
from evenhand.bench.models.loading import quiet_loaders
from evenhand.bench.report import write_report
from evenhand.bench.results.result import BASE, Cost, MethodCard
from evenhand.bench.results.text import plural
from evenhand.bench.stages.measure import Evaluation
from evenhand.bench.stages.progress import Progress
from evenhand.bench.stages.write import Provenance, Subject, machine, result_of
from evenhand.bench.storage.files import locked, write_atomically
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.storage.stored_run import StoredRun, load_run
from evenhand.bench.storage.title_block import read_title_block
from evenhand.bench.suites.audit_config import Audit, evaluation_config_for, relative_folder
from evenhand.bench.suites.targets import UNIFORM
from evenhand.metrics.estimation.anchors import confusion_from_anchors
from evenhand.metrics.table import PERSON_KINDS
from evenhand.metrics.vision.device import best_device

FAMILY = "images"
"""Family of the models of external images, in the results."""

GUARANTEE = "same numbers from the same images on the same packages and processor kind"


def audit(
    folder: Path,
    *,
    prompts: Path | None = None,
    suite: str | None = None,
    judges: Sequence[str] = (),
    attributes: Sequence[str] = (),
    anchors: Path | None = None,
    calibration: str | None = None,
    base: str | None = None,
    name: str | None = None,
    out: Path | None = None,
    title_block: Path | None = None,
    engine: str = "local",
    workers: int = 0,
    progress: Progress | None = None,
) -> StoredRun:
    """Judge and measure a folder of images. A second call reuses all labels.

    Args:
        folder: Folder of PNG, JPEG or WebP images; may have subfolders.
        prompts: CSV with the prompt of each image; if ``None``, a list is drafted from metadata, captions
            and names, and kept as ``prompts.csv`` in the folder of the run.
        suite: Suite whose judges, attributes and target are used; its model and prompts are ignored.
        judges: Voting judges to use instead of a suite.
        attributes: The attributes to audit; if empty, those of the suite, or one version of each that the
            judges know.
        anchors: CSV of human labels of some of the images, to correct the judges.
        calibration: Confusion counts to use instead of the suite's; see :func:`load_confusion`.
        base: The model to compare the others with; if ``None``, the model called ``base``, if there is one.
        name: Name of the audit; the name of the folder if ``None``.
        out: Folder of the run; ``runs/<name>`` if ``None``.
        title_block: A TOML file with what the auditor states, for the sign-off of the report.
        engine: Where images are judged: one of :data:`evenhand.bench.engines.ENGINES`. The results do not
            depend on it.
        workers: Number of judging workers; 0 for one per accelerator if there are several, and else no worker
            processes.
        progress: Reports progress.

    Returns:
        The run as read by :func:`load_run`.

    Raises:
        EvenhandError: An error that the user can fix.
        IncompleteRunError: Some files are not usable images; results are written and count them.
    """
    check_engine(engine, workers=workers)
    if anchors is not None and calibration is not None:
        raise EvenhandError("--anchors and --calibration cannot be combined; give one of them")
    if not folder.is_dir():
        raise EvenhandError(f"{folder}: image folder does not exist; check the path")
    if title_block is not None:
        read_title_block(title_block)
    called = name or folder.resolve().name
    if "/" in called:
        raise EvenhandError(f"--name {called!r} contains a slash; name the run folder with --out")
    chosen = evaluation_config_for(suite=suite, judges=judges, calibration=calibration, attributes=attributes)
    config = chosen.config if anchors is None else chosen.config.model_copy(update={"calibration": ""})
    target = out or Path("runs") / called
    draft = None if prompts is not None else draft_list(folder, without=target)
    listed = read_list(
        prompts or Path(DRAFT_FILE),
        taxonomy=config.attributes,
        model=called,
        data=draft.text.encode() if draft else None,
    )
    _check_files(folder, listed, prompts)
    spec = Audit(
        **dict(config),
        name=called,
        suite=chosen.origin,
        images=listed.card.digest,
        base=_base(base, listed),
        folder=relative_folder(folder, target),
    )
    with locked(target), quiet_loaders(), progress or Progress() as shown:
        if out is None:
            RunFolder(target).check_same_images(spec)
        _Session(
            audit=spec,
            folder=folder,
            listed=listed,
            draft=draft,
            notes=chosen.notes,
            anchors=anchors,
            title_block=title_block,
            run_folder=RunFolder(target),
            progress=shown,
            engine=engine,
            workers=workers,
        ).run()
    return load_run(target)


def _base(name: str | None, listed: ImageList) -> str | None:
    if name is not None and name not in listed.models:
        raise unknown("model of the list for --base:", name, listed.models)
    if name is None and BASE in listed.models:
        return BASE
    return name


def _check_files(folder: Path, listed: ImageList, prompts: Path | None) -> None:
    missing = [row.file for row in listed.rows if not (folder / row.file).is_file()]
    if missing:
        raise EvenhandError(
            f"{prompts or DRAFT_FILE}: {named(missing)} not found in {folder}; "
            "correct the list or add the files"
        )


@dataclass
class _Session:
    """One audit in progress."""

    audit: Audit
    folder: Path
    listed: ImageList
    draft: Draft | None
    notes: tuple[str, ...]
    anchors: Path | None
    title_block: Path | None
    run_folder: RunFolder
    progress: Progress
    engine: str
    workers: int

    def run(self) -> None:
        """Load everything, initialize the folder and run all phases."""
        self._load()
        self.run_folder.initialize_audit(self.audit)
        if self.draft is not None:
            write_atomically(self.run_folder.root / DRAFT_FILE, self.draft.text.encode())
        with self.run_folder.session(f"audit {self.audit.name}"):
            self._run_phases()

    def _run_phases(self) -> None:
        """Run all phases in order; each one reuses what an interrupted audit has finished."""
        images = self._import_images()
        distances = distance_notes(
            self.evaluation.judges.values(),
            images,
            store=self.run_folder.images,
            measured=self.run_folder.distances,
        )
        anchors = self._read_anchors(images)
        self._prefetch(images)
        timed = partial(self.run_folder.timed, "judge_seconds", machine=machine(_device()))
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
            anchors=None if anchors is None else anchors.table,
        )
        self.run_folder.image_table.finish(images)
        answers = answer_sheet(images, self.evaluation.labels(set(images["key"])), labels)
        write_atomically(self.run_folder.root / ANSWERS_FILE, answers.encode())
        notes = [*self._notes(images, anchors), *distances, *self._warnings(images, labels)]
        provenance = self._provenance(notes)
        subjects = [_subject(str(model), rows) for model, rows in images.groupby("method", sort=False)]
        self.run_folder.write_results(
            [result_of(s, provenance=provenance, measured=measured) for s in subjects], alone=True
        )
        write_report(self.run_folder.root, title_block=self.title_block)
        self._check_complete(images)

    @cached_property
    def evaluation(self) -> Evaluation:
        return Evaluation(self.audit, self.run_folder, self.progress)

    def _load(self) -> None:
        """Load everything that the audit names, so that errors show before the folder is written."""
        self.progress.start("load", 0)
        check_domains(self.evaluation.judges.values(), self.folder, [row.file for row in self.listed.rows])
        self.evaluation.load()
        if self.audit.target != UNIFORM and not self.listed.concepts:
            raise EvenhandError(
                "the suite's target applies to neutral prompts, and the image list has none; "
                "add some, or use "
                "--judge instead of --suite"
            )
        self.audit.targets(self.listed.concepts)
        self.progress.finish()

    def _import_images(self) -> pd.DataFrame:
        """Copy every readable image into the store and return the image table."""
        images, store = self.listed.table(), self.run_folder.images
        self.progress.start("read", len(images))
        imported = []
        for file in images["file"]:
            imported.append(import_image(self.folder / file, store))
            self.progress.advance()
        self.progress.finish()
        images["key"] = [one.key for one in imported]
        images["status"] = [one.status for one in imported]
        images["reason"] = [one.reason for one in imported]
        images["path"] = [store.relative_path(one.key) if one.status == "ok" else "" for one in imported]
        people = images[images["kind"].isin(PERSON_KINDS)]
        if not (people["status"] == "ok").any():
            first = people.iloc[0]
            raise EvenhandError(
                f"no image of people in the list is usable: {first['file']!r} {first['reason']}"
            )
        return images

    def _read_anchors(self, images: pd.DataFrame) -> Anchors | None:
        if self.anchors is None:
            return None
        people = images[(images["status"] == "ok") & images["kind"].isin(PERSON_KINDS)]
        keys = dict(zip(people["file"], people["key"], strict=True))
        anchors = read_anchors(self.anchors, keys=keys, taxonomy=self.audit.attributes)
        self.audit = self.audit.model_copy(update={"anchors": anchors.digest})
        self.run_folder.initialize_audit(self.audit)
        return anchors

    def _prefetch(self, images: pd.DataFrame) -> None:
        """Let the engine's workers, if any, judge what is missing; the later phase reuses it."""
        assignment = Assignment(run=self.run_folder.root.resolve())
        pool = start(self.engine, workers=self.workers, device=_device(), assignment=assignment)
        if pool is None:
            return
        prefetch = JudgePrefetch(self.evaluation, partial(self.run_folder.spend, machine=machine(_device())))
        there = images[images["status"] == "ok"]
        with pool:
            prefetch.make(
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
        """Notes for the reader, besides those of the measurement."""
        source = f"come from suite {self.audit.suite}" if self.audit.suite else "were chosen for this audit"
        notes = [
            "the images are external; their models and prompts are taken from the image list, unverified",
            f"judges, attributes and target {source}",
        ]
        if anchors is not None:
            notes.append(anchors.remark())
        elif not self.evaluation.confusion.empty:
            notes.append(
                f"judge errors are corrected with the table {self.audit.calibration!r}, measured "
                "on other images"
            )
        if self.evaluation.scorer is None:
            notes.append("alignment is not measured, because there is no scorer")
        if unlisted := self._unlisted():
            notes.append(
                f"{plural(len(unlisted), 'image')} in the folder but not in the list, ignored: "
                f"{named(unlisted)}"
            )
        lost = images[images["status"] != "ok"].groupby(["method", "reason"], sort=False)["file"]
        return notes + [
            f"{model}: {named(list(files))} {reason}; undetermined" for (model, reason), files in lost
        ]

    def _warnings(self, images: pd.DataFrame, labels: pd.DataFrame) -> list[str]:
        """Notes about what may be wrong with the images, the list or the judges."""
        evaluation, audit = self.evaluation, self.audit
        draft = f"{self.draft.note}; check {DRAFT_FILE} in the run folder" if self.draft else ""
        return [
            *([draft] if draft else []),
            *self.notes,
            *panel_notes(evaluation.judges, audit.panel, list(audit.attributes)),
            *undetermined_notes(labels),
            *duplicate_notes(images, self.run_folder.images),
        ]

    def _unlisted(self) -> list[str]:
        """Images in the folder that are not in the list, except those of a run inside the folder."""
        listed = {row.file for row in self.listed.rows}
        found = images_in(self.folder, without=self.run_folder.root)
        return [file for file in found if file not in listed]

    def _check_complete(self, images: pd.DataFrame) -> None:
        lost = images[images["status"] != "ok"]
        if len(lost):
            first = lost.iloc[0]
            raise IncompleteRunError(
                f"{len(lost)} of {len(images)} images are not usable: {first['file']!r} "
                f"{first['reason']}; "
                f"they count as undetermined in {self.run_folder.root / 'report.html'}; replace "
                "them or remove them "
                "from the list, and run the same command again"
            )


def _subject(model: str, rows: pd.DataFrame) -> Subject:
    """The model of some of the images; its revision is a digest of their keys."""
    card = MethodCard(
        label=model,
        name=model,
        version="",
        title=f"Images of {model}",
        summary="External images; how they were generated is unknown.",
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
    return torch.device(best_device())
