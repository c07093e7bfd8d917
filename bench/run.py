"""From a suite to results: plan, fit, generate, judge, measure, write. Running it again is the resume."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenhand.bench.errors import EvenhandError, IncompleteRunError
from evenhand.bench.fitting import CountedJudge, CountedSample, Fitted, fit, folder_name
from evenhand.bench.generate import Drawing, picture_rows
from evenhand.bench.judge_spec import load_judge
from evenhand.bench.judging import alignment, check_judge, embed_pictures, judge_pictures
from evenhand.bench.method_spec import MethodUse, parse_method
from evenhand.bench.models import Model, load_model, quiet_loaders
from evenhand.bench.plan import Item, concepts, make_plan
from evenhand.bench.progress import Progress
from evenhand.bench.prompt_sets import PromptSet
from evenhand.bench.record import Provenance, machine, results
from evenhand.bench.registry import METRICS
from evenhand.bench.resources import load_confusion, load_scorer
from evenhand.bench.result import Result, Run, Timing
from evenhand.bench.sampler import Sampler
from evenhand.bench.store import locked, write_atomically
from evenhand.bench.suite import Suite, load_suite
from evenhand.bench.targets import UNIFORM
from evenhand.bench.workspace import Workspace, load_run, merged
from evenhand.metrics import catalog
from evenhand.metrics.base import Metric
from evenhand.metrics.judges.base import Judge
from evenhand.metrics.measure import MeasurePlan, measure
from evenhand.metrics.panel import PANEL, vote
from evenhand.metrics.scorer import ClipScorer
from evenhand.metrics.table import PERSON_KINDS
from evenhand.reports.strength import ranked

Vectors = dict[str, NDArray[np.float32]]

BASE = "base"
"""The method that every other one is compared with; it takes part in every run."""


@dataclass(frozen=True)
class PlanRow:
    """What a run would make for one method and kind of prompts.

    Attributes:
        method: Label of the method.
        kind: Kind of the prompts.
        prompts: Different prompts.
        pictures: Pictures planned.
    """

    method: str
    kind: str
    prompts: int
    pictures: int


def plan(suite: str | Suite, *, methods: Sequence[str] | None = None, limit: int = 0) -> list[PlanRow]:
    """What a run would make, without making it; pictures of the methods' own loops come on top.

    Args:
        suite: Name of a suite, path of a TOML file, or a suite.
        methods: Methods as on the command line; the suite's defaults if ``None``.
        limit: As for :func:`evaluate`.
    """
    resolved = resolve(suite, limit=limit)
    items, _ = make_plan(resolved)
    kinds = dict.fromkeys(item.prompt.kind for item in items)
    rows = []
    for use in method_uses(resolved, methods):
        for kind in kinds:
            chosen = [item for item in items if item.prompt.kind == kind]
            rows.append(PlanRow(use.label, kind, len({i.prompt.id for i in chosen}), len(chosen)))
    return rows


def evaluate(
    suite: str | Suite,
    *,
    methods: Sequence[str] | None = None,
    out: Path | None = None,
    limit: int = 0,
    progress: Progress | None = None,
) -> Run:
    """Run methods on a suite and write results and report; a second call makes nothing again.

    Args:
        suite: Name of a suite, path of a TOML file, or a suite.
        methods: Methods as on the command line, such as ``"mist:step=0.3"``; the suite's defaults if
            ``None``. The base model takes part in any case, as do methods that the folder has results of.
        out: The run's folder; ``runs/<suite>`` if ``None``.
        limit: At most this many prompts of every prompt set; 0 for all.
        progress: Told of every step.

    Returns:
        The run as :func:`load_run` reads it.

    Raises:
        EvenhandError: A fault the user can mend.
        IncompleteRunError: Some picture could not be made; the same call goes on.
    """
    resolved = resolve(suite, limit=limit)
    folder = out or Path("runs") / (f"{resolved.name}-limit{limit}" if limit else resolved.name)
    uses = method_uses(resolved, methods)
    with locked(folder), quiet_loaders(), progress or Progress() as shown:
        work = Workspace(folder)
        earlier = [Result.load(path).spec.method.label for path in work.result_paths()]
        uses = method_uses(resolved, [*(use.label for use in uses), *earlier])
        session = _Session(resolved, uses, work, shown)
        session.load()
        work.claim(resolved)
        session.run()
    return load_run(folder)


def resolve(suite: str | Suite, *, limit: int) -> Suite:
    """The suite with a limit on its prompts written into it."""
    resolved = suite if isinstance(suite, Suite) else load_suite(suite)
    if limit < 0:
        raise EvenhandError(
            f"limit {limit} is negative; give the largest number of prompts of a set, or 0 for all"
        )
    if not limit:
        return resolved
    uses = tuple(use.model_copy(update={"limit": min(limit, use.limit or limit)}) for use in resolved.prompts)
    return resolved.model_copy(update={"prompts": uses})


def method_uses(suite: Suite, methods: Sequence[str] | None) -> list[MethodUse]:
    """The methods of a run, each once, the base model first.

    Raises:
        EvenhandError: Unknown method or parameter, or a steering judge that sits in the panel.
    """
    names = [BASE, *(suite.defaults if methods is None else methods)]
    uses = {use.label: use for use in (parse_method(name, suite=suite) for name in names)}
    for use in uses.values():
        if use.method.steering_judge in suite.panel:
            raise EvenhandError(
                f"method {use.label!r} steers by judge {use.method.steering_judge!r}, which is in the panel "
                f"of suite {suite.name!r}; choose another with {use.method.info.name}:judge=…"
            )
    return list(uses.values())


@dataclass
class _Session:
    """One run in progress."""

    suite: Suite
    uses: list[MethodUse]
    work: Workspace
    progress: Progress

    def load(self) -> None:
        """Load all that the suite names, so that a fault in it shows before the folder is taken."""
        self.progress.start("load", 0)
        _ = self.items, self.judges, self.metrics, self.confusion, self.scorer, self.sampler
        self._target()
        for use in self.uses:
            use.method.check(family=self.model.family, cells=self.suite.cells())
        self.progress.finish()

    def run(self) -> None:
        """Every phase in order; each finds what an earlier, interrupted session left."""
        fitted = {use.label: self._fit(use) for use in self.uses}
        tables = [self._draw(use, fitted[use.label]) for use in self.uses]
        pictures = pd.concat(tables, ignore_index=True)
        labels = self._judge(pictures)
        vectors = self._embed(pictures)
        self.work.picture_table.finish(merged(pictures, self.work.picture_table))
        self._measure(pictures, labels, vectors, fitted)

    @cached_property
    def items(self) -> tuple[Item, ...]:
        return self._planned[0]

    @cached_property
    def _planned(self) -> tuple[tuple[Item, ...], tuple[PromptSet, ...]]:
        return make_plan(self.suite)

    @cached_property
    def model(self) -> Model:
        return load_model(self.suite.model, precision=self.suite.protocol.precision)

    @cached_property
    def sampler(self) -> Sampler:
        return Sampler(self.model, self.suite.protocol)

    @cached_property
    def protocol(self) -> str:
        return self.suite.protocol.model_dump_json()

    @cached_property
    def taxonomy(self) -> dict[str, tuple[str, ...]]:
        return self.suite.taxonomy

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        named = [METRICS.get(name) for name in self.suite.metrics]
        return tuple(dict.fromkeys([*catalog.DEFAULT, *named]))

    @cached_property
    def confusion(self) -> pd.DataFrame:
        return load_confusion(self.suite.calibration)

    @cached_property
    def scorer(self) -> ClipScorer:
        return load_scorer(self.suite.scorer)

    @cached_property
    def judges(self) -> dict[str, Judge]:
        """Panel, witnesses and the methods' steering judges, by name."""
        steering = [use.method.steering_judge for use in self.uses]
        names = dict.fromkeys([*self.suite.panel, *self.suite.witnesses, *filter(None, steering)])
        judges = {name: load_judge(name) for name in names}
        for judge in judges.values():
            check_judge(judge, self.taxonomy)
        return judges

    def _fit(self, use: MethodUse) -> Fitted:
        self.progress.start(f"{use.label}: fit", 0)
        with self._timed("fit_seconds", use.label):
            fitted = fit(
                use,
                suite=self.suite,
                concepts=concepts(self.items),
                sample=CountedSample(self.sampler, self.work.pictures, self.protocol, self.progress),
                judge=CountedJudge(
                    use.method.steering_judge, self.judges.get(use.method.steering_judge or "")
                ),
                image_features=self.scorer.embed,
                clip=self.scorer,
                folder=self.work.root / "interventions" / folder_name(use.label),
            )
        self.progress.finish()
        return fitted

    def _draw(self, use: MethodUse, fitted: Fitted) -> pd.DataFrame:
        drawing = Drawing(fitted.intervention, sampler=self.sampler, protocol=self.protocol)
        jobs = drawing.jobs(self.items)
        self.progress.start(f"{use.label}: generate", len(jobs))
        with self._timed("generate_seconds", use.label):
            statuses = drawing.draw(jobs, store=self.work.pictures, progress=self.progress)
        self.progress.finish()
        return picture_rows(use.label, jobs, statuses, self.work.pictures)

    def _judge(self, pictures: pd.DataFrame) -> pd.DataFrame:
        """Labels of every judge and the panel's vote for all pictures of people."""
        table = self.work.labels
        known = table.read()
        columns = ["key", "judge", "judge_version"]
        done = set(known[columns].itertuples(index=False, name=None)) if len(known) else set()
        people = pictures[pictures["kind"].isin(PERSON_KINDS)]
        for method, group in people.groupby("method", sort=False):
            keys = list(dict.fromkeys(group["key"]))
            self.progress.start(f"{method}: judge", len(keys) * len(self.judges))
            with self._timed("judge_seconds", str(method)):
                for judge in self.judges.values():
                    judge_pictures(
                        judge,
                        keys=keys,
                        attributes=self.taxonomy,
                        store=self.work.pictures,
                        table=table,
                        done=done,
                        progress=self.progress,
                    )
                    done |= {(key, judge.info.name, judge.info.version) for key in keys}
            self.progress.finish()
        return self._labels(set(people["key"]))

    def _labels(self, keys: set[str]) -> pd.DataFrame:
        table = self.work.labels
        rows = table.read()
        rows = rows[rows["judge"] != PANEL]
        votes = vote(rows, members=self.suite.panel, taxonomy=self.taxonomy)
        table.finish(pd.concat([rows, votes], ignore_index=True))
        versions = {judge.info.name: judge.info.version for judge in self.judges.values()}
        return rows[rows["key"].isin(keys) & (rows["judge_version"] == rows["judge"].map(versions))]

    def _embed(self, pictures: pd.DataFrame) -> Vectors:
        """Unit vectors by key; the picture table gets its alignment column from them."""
        scorer, table = self.scorer, self.work.vectors
        known = table.read()
        done = set(known[known["scorer"] == scorer.version]["key"]) if len(known) else set()
        keys = list(dict.fromkeys(pictures["key"]))
        self.progress.start("embed", len(keys))
        embed_pictures(scorer, keys=keys, store=self.work.pictures, table=table, done=done)
        self.progress.finish()
        rows = table.read()
        table.finish(rows)
        rows = rows[rows["scorer"] == scorer.version]
        vectors = dict(zip(rows["key"], rows["vector"], strict=True))
        pictures["alignment"] = alignment(pictures, vectors, scorer.embed_texts)
        return vectors

    def _measure(
        self,
        pictures: pd.DataFrame,
        labels: pd.DataFrame,
        vectors: Vectors,
        fitted: dict[str, Fitted],
    ) -> None:
        unrelated = pictures[(pictures["kind"] == "unrelated") & (pictures["status"] == "ok")]
        self.progress.start("measure", 0)
        measured = measure(
            pictures,
            labels,
            plan=self._measure_plan(),
            embeddings={key: vectors[key] for key in sorted(set(unrelated["key"]))},
        )
        self.progress.finish()
        provenance = Provenance(
            suite=self.suite,
            model=self.model,
            prompt_sets=self._planned[1],
            judges=self.judges,
            concepts=concepts(self.items),
        )
        for use in self.uses:
            result = results(use, provenance=provenance, measured=measured, fitted=fitted[use.label])
            path = self.work.root / "results" / f"{folder_name(use.label)}.json"
            write_atomically(path, result.to_json().encode())
        self._write_report()
        failed = pictures[pictures["status"] != "ok"]
        if len(failed):
            raise IncompleteRunError(
                f"{len(failed)} of {len(pictures)} pictures are not finite, of {failed['method'].iloc[0]}; "
                "they count as undetermined in the results, see the coverage in the report"
            )

    def _measure_plan(self) -> MeasurePlan:
        boot = self.suite.bootstrap
        steering = {use.label: use.method.steering_judge for use in self.uses}
        witnesses = {*self.suite.witnesses, *filter(None, steering.values())}
        return MeasurePlan(
            attributes=self.taxonomy,
            panel=self.suite.panel,
            joints=tuple(names for names in self.suite.report if len(names) > 1),
            target=self._target(),
            witnesses=tuple(sorted(witnesses)),
            steering=steering,
            ranked=ranked(self.uses),
            confusion=self.confusion,
            metrics=self.metrics,
            draws=boot.draws,
            seed=boot.seed,
            resample_concepts=boot.resample_concepts,
        )

    def _target(self) -> dict[str, dict[str, list[float]]]:
        """Desired shares of every attribute set and concept; nothing where they are even."""
        if self.suite.target == UNIFORM:
            return {}
        named = concepts(self.items)
        sets = dict.fromkeys([*((name,) for name in self.taxonomy), *self.suite.report])
        return {
            "*".join(names): dict(zip(named, self.suite.target_shares(named, names).tolist(), strict=True))
            for names in sets
        }

    def _write_report(self) -> None:
        from evenhand.reports.audit import write_audit

        write_audit(load_run(self.work.root), self.work.root / "report.html")

    @contextmanager
    def _timed(self, phase: str, label: str) -> Iterator[None]:
        """Add the seconds of a phase to ``timing.json``, also when it is interrupted."""
        begun = time.monotonic()
        try:
            yield
        finally:
            timings = self.work.timings()
            timing = timings.get(label, Timing(method=label, machine=machine(self.model)))
            seconds = getattr(timing, phase) + time.monotonic() - begun
            timings[label] = timing.model_copy(update={phase: round(seconds, 1)})
            self.work.write_timings(timings)
