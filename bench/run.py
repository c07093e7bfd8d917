"""From a suite to results: plan, fit, generate, judge, measure, write. Repeating a run resumes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from evenhand.bench.engines import check_engine, start
from evenhand.bench.engines.prefetch import DrawPrefetch, FitPrefetch
from evenhand.bench.engines.worker import Assignment
from evenhand.bench.engines.worker_pool import WorkerPool
from evenhand.bench.errors import EvenhandError, IncompleteRunError
from evenhand.bench.fetching.estimate import run_size, size_lines
from evenhand.bench.models.loading import load_model_of, open_sampler, quiet_loaders
from evenhand.bench.models.sampler import BatchSampler
from evenhand.bench.models.unet import Model
from evenhand.bench.policy.gates import explicit_undecided
from evenhand.bench.policy.strength import ranked
from evenhand.bench.prompts.plan import Item, concepts, make_plan
from evenhand.bench.prompts.prompt_set import PromptSet
from evenhand.bench.prompts.selection import method_uses, resolve
from evenhand.bench.registry.entry_points import METHODS
from evenhand.bench.registry.method_spec import MethodUse
from evenhand.bench.report import write_report
from evenhand.bench.results.result import BASE, Result
from evenhand.bench.stages.fit import fit_in_run
from evenhand.bench.stages.generate import Drawing, Job, image_rows
from evenhand.bench.stages.loop_images import LoopImages
from evenhand.bench.stages.measure import Evaluation, Vectors
from evenhand.bench.stages.method_failure import method_at_work
from evenhand.bench.stages.progress import Progress
from evenhand.bench.stages.trial_batch import time_first_images
from evenhand.bench.stages.write import (
    GUARANTEE_CPU,
    GUARANTEE_GPU,
    Provenance,
    machine,
    prompt_set_card,
    result_of,
    subject_of_run,
)
from evenhand.bench.storage.files import locked
from evenhand.bench.storage.fits import Fitted
from evenhand.bench.storage.run_folder import (
    Phase,
    RunFolder,
    default_folder,
    merged,
    previous_methods,
)
from evenhand.bench.storage.stored_run import StoredRun, load_run
from evenhand.bench.suites.evaluation_config import EvaluationConfig
from evenhand.bench.suites.suite import Suite
from evenhand.methods.base import Intervention
from evenhand.metrics.judges.clip_scorer import ClipScorer
from evenhand.metrics.statistics.paired_loss import LOOKS
from evenhand.metrics.vision.device import best_device

if TYPE_CHECKING:
    from evenhand.methods.base import Method


def evaluate(
    suite: str | Suite,
    *,
    methods: Sequence[str | Method | type[Method]] | None = None,
    out: str | Path | None = None,
    limit: int = 0,
    fits: int = 0,
    until_decided: bool = False,
    engine: str = "local",
    workers: int = 0,
    progress: Progress | None = None,
) -> StoredRun:
    """Run methods on a suite, and write results and report. A second call reuses all finished work.

    Args:
        suite: Name of a suite, path of a TOML file, or a suite.
        methods: Methods as on the command line, such as ``"mist:step_size=0.3"``, objects, or classes, which
            need not be registered; the suite's defaults if ``None``. Parameters that are not given come from
            the suite. The baseline and methods that the folder has results for are always included.
        out: The run's folder; ``runs/<suite>`` if ``None``.
        limit: Maximum number of prompts of every prompt set; 0 for all.
        fits: How often each method is fitted, with other seeds; 0 for the number of the suite. Other
            strengths of a method are fitted once. A method that every seed fits to the same intervention is
            drawn once.
        until_decided: Whether to double the images of explicit prompts, at most three times, until the gate
            of explicit fidelity is passed or a harm proven for every method. The bounds of such a run are
            wider, so that all its looks together err as rarely as the single look of a fixed run.
        engine: Where images are generated and judged: one of :data:`evenhand.bench.engines.ENGINES`. The
            results do not depend on it.
        workers: Number of generating workers; 0 for one per accelerator if there are several, and else no
            worker processes.
        progress: Reports progress.

    Returns:
        The run as read by :func:`load_run`.

    Raises:
        EvenhandError: An error that the user can fix.
        IncompleteRunError: Some images could not be generated; the same call resumes.
    """
    check_engine(engine, workers=workers)
    resolved = resolve(suite, limit=limit, fits=fits)
    folder = Path(out or default_folder(resolved.name, limit=limit))
    named = list(resolved.defaults if methods is None else methods)
    uses = method_uses(resolved, named)
    with locked(folder), quiet_loaders(), progress or Progress() as shown:
        run_folder = RunFolder(folder)
        run_folder.check(resolved)
        uses = method_uses(resolved, [*named, *previous_methods(run_folder, uses)])
        session = _Session(resolved, uses, run_folder, shown, engine, workers, until_decided)
        session.load()
        run_folder.initialize(resolved)
        with run_folder.session(f"run of suite {resolved.name} with {', '.join(use.label for use in uses)}"):
            session.run()
    return load_run(folder)


@dataclass
class _Session:
    """One run in progress."""

    suite: Suite
    uses: list[MethodUse]
    run_folder: RunFolder
    progress: Progress
    engine: str
    workers: int
    until_decided: bool = False
    look: int = 1
    other_fits: dict[str, list[str]] = field(default_factory=dict)

    def load(self) -> None:
        """Load everything that the suite names, so that errors show before the folder is written."""
        self.progress.start("load", 0)
        _ = self.items
        self.evaluation.load()
        _ = self.scorer, self.sampler
        self.evaluation.evaluation_config.targets(concepts(self.items))
        for use in self.uses:
            with method_at_work():
                self.model.check_method(use.method, cells=self.suite.cells())
        self.progress.finish()

    def run(self) -> None:
        """Run all phases in order; each one reuses what an interrupted run has finished."""
        self._announce()
        fitted = self._fit_all()
        for look in self._plans:
            self.look = look
            images, results = self._look(fitted)
            if undecided := [r.spec.method.label for r in results if explicit_undecided(r, results[0])]:
                self.progress.say(f"explicit fidelity not proven: {', '.join(undecided)}")
            else:
                break
        write_report(self.run_folder.root)
        _check_complete(images)

    def _announce(self) -> None:
        """Say what the run takes at most, timed by its first images, unless nearly all of them exist."""
        drawing = Drawing(Intervention(), sampler=self.sampler, protocol=self.protocol)
        with self._timed("generate_seconds", BASE):
            trial = time_first_images(drawing, self.items, store=self.run_folder.images)
        if trial is not None:
            for line in size_lines(run_size(self.suite, self.uses, self._all_items), trial):
                self.progress.say(line)

    def _look(self, fitted: Mapping[str, Fitted]) -> tuple[pd.DataFrame, list[Result]]:
        """The image table and the results, the baseline's first, of all images of the current look."""
        images = self._images(fitted)
        with self._resting():
            labels = self.evaluation.judge(images, timed=partial(self._timed, "judge_seconds"))
            vectors = self.evaluation.embed(images)
        self.run_folder.image_table.finish(merged(images, self.run_folder.image_table))
        return images, self._measure(images, labels, vectors, fitted)

    def _images(self, fitted: Mapping[str, Fitted]) -> pd.DataFrame:
        """The image table of all methods, after all images were generated."""
        drawings = {use.label: self._drawing(fitted[use.label]) for use in self.uses}
        jobs = {label: drawing.jobs(self.items) for label, drawing in drawings.items()}
        self._prefetch(jobs)
        tables = [self._draw(label, drawing, jobs[label]) for label, drawing in drawings.items()]
        return pd.concat(tables, ignore_index=True)

    @property
    def items(self) -> tuple[Item, ...]:
        return self._plans[self.look][0]

    @cached_property
    def _plans(self) -> dict[int, tuple[tuple[Item, ...], tuple[PromptSet, ...]]]:
        """The plan of every look that the run may come to."""
        looks = LOOKS if self.until_decided else 1
        return {look: make_plan(self.suite, look=look) for look in range(1, looks + 1)}

    @property
    def _all_items(self) -> tuple[Item, ...]:
        """The plan of the last look, which contains all others."""
        return self._plans[max(self._plans)][0]

    @cached_property
    def model(self) -> Model:
        return load_model_of(self.suite)

    @cached_property
    def sampler(self) -> BatchSampler:
        return open_sampler(self.model, self.suite.protocol)

    @cached_property
    def protocol(self) -> str:
        return self.suite.protocol.model_dump_json()

    @property
    def turns(self) -> bool:
        """Whether generator and judges take turns on the device; on a CPU, all share the main memory."""
        return best_device() != "cpu"

    @cached_property
    def evaluation(self) -> Evaluation:
        return Evaluation(
            EvaluationConfig.of(self.suite),
            self.run_folder,
            self.progress,
            steering={use.label: use.method.steering_judge for use in self.uses},
            turns=self.turns,
        )

    @cached_property
    def loop_images(self) -> LoopImages:
        return LoopImages(self.run_folder.images, self._drawing, self._all_items)

    @property
    def scorer(self) -> ClipScorer:
        if self.evaluation.scorer is None:
            raise EvenhandError(
                f"suite {self.suite.name!r} has no scorer, which methods may need; set scorer to "
                "a CLIP folder"
            )
        return self.evaluation.scorer

    def _fit_all(self) -> dict[str, Fitted]:
        """The fits by label. A method that every seed fits to the same intervention keeps only the first."""
        self._prefetch_fits()
        fitted = {use.label: self._fit(use) for use in self.uses}
        digests = {label: one.intervention.digest() for label, one in fitted.items()}
        for use in self.uses:
            if use.fit_of:
                self.other_fits.setdefault(use.fit_of, []).append(digests[use.label])
        same = {first for first, others in self.other_fits.items() if {*others} == {digests[first]}}
        for label in sorted(same):
            self.progress.say(f"{label}: every seed gives the same fit")
        self.uses = [use for use in self.uses if use.fit_of not in same]
        kept = {use.label: fitted[use.label] for use in self.uses}
        self.loop_images.all_done(kept.values())
        return kept

    def _fit(self, use: MethodUse) -> Fitted:
        budget = use.method.budget(concepts=len(concepts(self.items)), cells=self.suite.cells())
        most = "" if budget.exact or not budget.images else ", at most"
        self.progress.start(f"{use.label}: fit{most}", budget.images)
        with self._timed("fit_seconds", use.label):
            fitted, drawn = fit_in_run(
                use,
                suite=self.suite,
                concepts=concepts(self.items),
                sampler=self.sampler,
                evaluation=self.evaluation,
                progress=self.progress,
            )
        self.progress.finish()
        self.loop_images.done(fitted, drawn)
        return fitted

    def _prefetch_fits(self) -> None:
        """Let the engine's workers make the fits that are missing, if there are several to be shared."""
        revision, evaluation = self.model.revision, self.evaluation
        prefetch = FitPrefetch(self.suite, concepts(self.items), revision, evaluation, self._spend)
        missing = prefetch.missing(use for use in self.uses if use.name in METHODS.names())
        pool = self._pool(missing) if len(missing) > 1 else None
        if pool is not None:
            with self._resting(), pool:
                prefetch.make(pool, missing)

    def _drawing(self, fitted: Fitted) -> Drawing:
        return Drawing(fitted.intervention, sampler=self.sampler, protocol=self.protocol)

    def _prefetch(self, jobs: Mapping[str, list[Job]]) -> None:
        """Let the engine's workers, if any, generate and judge what is missing; later phases reuse it."""
        registered = [use for use in self.uses if use.name in METHODS.names()]
        pool = self._pool(registered)
        if pool is None:
            return
        prefetch = DrawPrefetch(self.evaluation, self._spend, batch=self.suite.protocol.batch)
        with self._resting(), pool:
            prefetch.make_all(pool, {use.label: jobs[use.label] for use in registered})

    def _resting(self) -> AbstractContextManager[None]:
        """While others need the device: the generator waits in the main memory, if it has a separate one."""
        return self.model.resting() if self.turns else nullcontext()

    def _pool(self, uses: Sequence[MethodUse]) -> WorkerPool | None:
        """The engine's workers for these methods, if it has any.

        The methods have to be registered: other processes cannot import the class of a notebook.
        """
        assignment = Assignment(
            run=self.run_folder.root.resolve(),
            revision=self.model.revision,
            methods={use.label: type(use.method) for use in uses},
            steering=self.evaluation.steering,
        )
        return start(self.engine, workers=self.workers, device=self.model.device, assignment=assignment)

    def _spend(self, phase: Phase, label: str, seconds: float) -> None:
        self.run_folder.spend(phase, label, seconds, machine=machine(self.model.device))

    def _draw(self, label: str, drawing: Drawing, jobs: list[Job]) -> pd.DataFrame:
        self.progress.start(f"{label}: generate", len(jobs))
        with self._timed("generate_seconds", label):
            statuses = drawing.draw(jobs, store=self.run_folder.images, progress=self.progress)
        self.progress.finish()
        return image_rows(label, jobs, statuses, self.run_folder.images)

    def _measure(
        self,
        images: pd.DataFrame,
        labels: pd.DataFrame,
        vectors: Vectors,
        fitted: Mapping[str, Fitted],
    ) -> list[Result]:
        measured = self.evaluation.measure(
            images,
            labels,
            vectors,
            concepts=concepts(self.items),
            base=BASE,
            ranked=ranked(self.uses),
            look=self.look if self.until_decided else 0,
        )
        subjects = [
            subject_of_run(
                use,
                model=self.model,
                fitted=fitted[use.label],
                images=measured.coverage[use.label].made,
                branches=self._branches(use),
                other_fits=self.other_fits.get(use.label, ()),
            )
            for use in self.uses
        ]
        provenance = self._provenance()
        results = [result_of(s, provenance=provenance, measured=measured) for s in subjects]
        self.run_folder.write_results(results)
        return results

    def _branches(self, use: MethodUse) -> int:
        """Further U-Net passes per image and step, as the method declares them."""
        return use.method.budget(concepts=len(concepts(self.items)), cells=self.suite.cells()).branches

    def _provenance(self) -> Provenance:
        suite, device = self.suite, self.model.device.type
        return Provenance(
            name=suite.name,
            version=suite.version,
            digest=suite.digest(),
            evaluation_config=self.evaluation.evaluation_config,
            protocol=suite.protocol.model_dump(mode="json"),
            balanced=suite.balanced,
            device=device,
            guarantee=GUARANTEE_CPU if device == "cpu" else GUARANTEE_GPU,
            prompt_sets=tuple(map(prompt_set_card, self._plans[self.look][1])),
            judges=self.evaluation.judges,
            concepts=concepts(self.items),
        )

    def _timed(self, phase: Phase, label: str) -> AbstractContextManager[None]:
        return self.run_folder.timed(phase, label, machine=machine(self.model.device))


def _check_complete(images: pd.DataFrame) -> None:
    failed = images[images["status"] != "ok"]
    if len(failed):
        raise IncompleteRunError(
            f"{len(failed)} of {len(images)} images have non-finite pixels (first method: "
            f"{failed['method'].iloc[0]}); they count as undetermined, see the coverage in the report"
        )
