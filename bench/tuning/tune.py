"""Search over a method's parameters on development prompts; repeating the search resumes it."""

from __future__ import annotations

import hashlib
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any

from evenhand.bench.engines.local_pool import follow_parent
from evenhand.bench.engines.script_guard import check_script, end_if_imported_again
from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import load_model, quiet_loaders
from evenhand.bench.prompts.plan import concepts, make_plan
from evenhand.bench.registry import spec_text
from evenhand.bench.registry.method_spec import method_class, parse_method
from evenhand.bench.results.tuning import (
    LengtheningRecord,
    ScreeningRecord,
    Trial,
    TuningRecord,
    read_tuning,
)
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.files import folder_name, locked, write_atomically
from evenhand.bench.suites.fit_length import trained_longer
from evenhand.bench.suites.suite import Suite, load_suite
from evenhand.bench.suites.tuning_config import Tuning
from evenhand.bench.tuning import search
from evenhand.bench.tuning.development import development_suite, screening_suite
from evenhand.bench.tuning.trial import Planned, affordable, draw_baseline, run_trial, with_parameters
from evenhand.methods.space import Space

MOST_SKIPPED = 1000
"""Configurations over budget after which a search gives up."""


def record_path(out: Path, suite: str, method: str) -> Path:
    """The file of the record of a method on a suite."""
    return out / folder_name(suite) / f"{folder_name(method)}.json"


def tune(
    method: str,
    suite: str | Suite,
    *,
    out: str | Path = "tuning",
    work: str | Path = "runs/tuning",
    workers: int = 1,
    progress: Progress | None = None,
) -> TuningRecord:
    """Search over the parameters of a method on the development prompts of a suite.

    The record is written after every trial to ``<out>/<suite>/<method>.json``. A second call with the same
    arguments resumes; it does nothing if the record is complete. The number of workers does not change the
    record.

    Args:
        method: Name of a registered method, or a variant such as ``mist:scope=joint``, whose given
            parameters stay fixed.
        suite: A suite with a ``[tuning]`` table, or its name or path.
        out: Folder of the records.
        work: Folder for images and fits of the trials; it can be deleted afterwards.
        workers: Processes that run quasi-random trials at the same time.
        progress: Reports progress.

    Returns:
        The complete record.

    Raises:
        EvenhandError: The suite has no tuning protocol or scores a development prompt, the method has
            nothing to tune or a parameter outside its space, Optuna is not installed, or an existing record
            belongs to another search.
    """
    end_if_imported_again()
    resolved = suite if isinstance(suite, Suite) else load_suite(suite)
    name, given = spec_text.split(method, kind="method")
    table = {**resolved.methods.get(name, {}), **given}
    resolved = resolved.model_copy(update={"methods": {**resolved.methods, name: table}})
    development = development_suite(resolved)
    assert resolved.tuning is not None
    space = {key: domain for key, domain in method_class(name).space().items() if key not in given}
    if not space:
        raise EvenhandError(f"method {method!r} has nothing to tune: its search space is empty")
    own = parse_method(name, suite=development).method
    start = search.start_of(own, space, stated=table, cells=development.cells())
    search.require_optuna()
    label = spec_text.label(name, given)
    path = record_path(Path(out), resolved.name, label)
    folder = Path(work) / folder_name(resolved.name) / folder_name(label)
    with quiet_loaders(), progress or Progress() as shown, locked(folder):
        return _Search(
            label=label,
            method=name,
            space=space,
            start=start,
            suite=resolved,
            protocol=resolved.tuning,
            development=development,
            path=path,
            work=folder,
            workers=workers,
            shown=shown,
        ).run()


@dataclass(frozen=True)
class Stage:
    """A part of a search.

    Attributes:
        suite: What its trials draw.
        baseline: Run folder of the baseline, which every trial starts from.
    """

    suite: Suite
    baseline: Path


@dataclass
class _Search:
    """One search in progress.

    Attributes:
        label: The method as the record names it, with the parameters that were given.
        method: Its name.
        space: Its search space, without the given parameters.
        start: The configuration of trial 0.
        suite: The suite; its table of the method has the given parameters.
        protocol: The suite's protocol.
        development: Its development suite.
        path: File of the record.
        work: Folder of the trials.
        workers: Trials at the same time.
        shown: Reports progress.
        started: When the search was started or resumed.
        new: Trials since then.
    """

    label: str
    method: str
    space: Space
    start: dict[str, Any]
    suite: Suite
    protocol: Tuning
    development: Suite
    path: Path
    work: Path
    workers: int
    shown: Progress
    started: float = field(default_factory=time.monotonic)
    new: int = 0

    def run(self) -> TuningRecord:
        """The complete record."""
        record = self._kept()
        record = self._add(record, self._independent(record), stage=self.first)
        while len(record.searched) < self.protocol.trials:
            record = self._add(record, [self._proposed(record)], stage=self.first)
        record = self._add(record, self._repeated(record), stage=self.final)
        while record.lengthening and not record.lengthening.ended:
            record = self._lengthened(record, record.lengthening)
        return record

    @cached_property
    def final(self) -> Stage:
        """The development prompts with the sampler of the suite; the winner is chosen here."""
        return Stage(self.development, self.work / "baseline")

    @cached_property
    def first(self) -> Stage:
        """Where the configurations are tried: the same stage, unless the suite has a first one."""
        suite = screening_suite(self.suite, self.development)
        return self.final if suite is self.development else Stage(suite, self.work / "screening-baseline")

    @cached_property
    def concepts(self) -> int:
        """Number of development concepts that a trial balances."""
        return len(concepts(make_plan(self.development)[0]))

    def _kept(self) -> TuningRecord:
        """The record so far; one without trials if there is none.

        Raises:
            EvenhandError: The record belongs to another search.
        """
        given = self.suite.methods.get(self.method, {})
        fresh = TuningRecord(
            suite=self.suite.name,
            suite_version=self.suite.version,
            development=self.development.digest(),
            method=self.label,
            method_version=method_class(self.method).info.version,
            model_revision=load_model(self.suite.model).revision,
            seed=self.protocol.seed,
            trials_planned=self.protocol.trials,
            passes_allowed=self.protocol.passes,
            fixed={name: value for name, value in given.items() if name not in self.space},
            space={name: asdict(domain) for name, domain in self.space.items()},
            baseline=self._baseline(self.final),
            screening=self._screening(),
            lengthening=self._lengthening(),
        )
        if not self.path.exists():
            return fresh
        kept = read_tuning(self.path)
        if kept.begun.text() != fresh.text():
            raise EvenhandError(
                f"{self.path}: belongs to another search (suite, method version, space or budget differ); "
                "move the file away or choose another --out"
            )
        return kept

    def _baseline(self, stage: Stage) -> float:
        """Distance of the baseline in a stage."""
        return draw_baseline(stage.suite, stage.baseline, self.shown).value

    def _screening(self) -> ScreeningRecord | None:
        """What the record says of the first stage."""
        if self.protocol.screening is None:
            return None
        return ScreeningRecord(
            development=self.first.suite.digest(),
            baseline=self._baseline(self.first),
            **self.protocol.screening.model_dump(),
        )

    def _lengthening(self) -> LengtheningRecord | None:
        """What the record says of the last stage."""
        if self.protocol.lengthening is None or not method_class(self.method).training_length:
            return None
        return LengtheningRecord(**self.protocol.lengthening.model_dump())

    def _independent(self, record: TuningRecord) -> list[Planned]:
        """The trials that depend on no other: the starting configuration and the quasi-random ones."""
        drawn = search.quasi_random(self.space, seed=self._seed("quasi-random"))
        planned = [Planned(0, "start", self.start)]
        for number in range(1, self.protocol.quasi_random):
            planned.append(Planned(number, "quasi-random", self._affordable(drawn)))
        done = {trial.number for trial in record.trials}
        return [one for one in planned if one.number not in done]

    def _proposed(self, record: TuningRecord) -> Planned:
        """The next trial that TPE proposes."""
        number = len(record.searched)
        # TPE uses the order of the scores, so any large number stands for a trial without a result.
        tried = [(trial.parameters, min(trial.score, 1e6)) for trial in record.searched]
        found = search.proposals(self.space, tried, seed=self._seed(f"tpe {number}"))
        return Planned(number, "tpe", self._affordable(found))

    def _repeated(self, record: TuningRecord) -> list[Planned]:
        """The finalists that are still to be repeated in full."""
        done = {trial.number for trial in record.trials}
        planned = [
            Planned(record.trials_planned + place, "finalist", trial.parameters)
            for place, trial in enumerate(record.finalists)
        ]
        return [one for one in planned if one.number not in done]

    def _lengthened(self, record: TuningRecord, stage: LengtheningRecord) -> TuningRecord:
        """The record with one trial of a longer training more, or with the reason why none follows."""
        longer = self._longer(record, stage)
        if isinstance(longer, Planned):
            return self._add(record, [longer], stage=self.final)
        ended = stage.model_copy(update={"ended": longer})
        return self._written(record.model_copy(update={"lengthening": ended}))

    def _longer(self, record: TuningRecord, stage: LengtheningRecord) -> Planned | str:
        """The best configuration with a longer training, or why there is none."""
        best, last = record.winner, record.trials[-1]
        if best is None:
            return "no trial has a result"
        if last.origin == "longer" and last.number != best.number:
            if last.status == "failed":
                return f"a longer training failed: {last.reason}"
            return "a longer training is not better"
        suite = with_parameters(self.development, self.method, best.parameters)
        own = parse_method(self.method, suite=suite).method
        method = trained_longer(own, growth=stage.factor)
        if method == own:
            return "the training is as long as published"
        length = {name: getattr(method, name) for name in method.training_length}
        if not self._fits(best.parameters | length, passes=stage.passes):
            return f"a longer training may need more than {stage.passes} U-Net passes"
        return Planned(len(record.trials), "longer", best.parameters | length)

    def _affordable(self, sequence: Iterator[dict[str, Any]]) -> dict[str, Any]:
        """The next configuration whose fit stays within the budget."""
        for parameters in islice(sequence, MOST_SKIPPED):
            if self._fits(parameters, passes=self.protocol.passes):
                return parameters
        raise EvenhandError(
            f"method {self.label!r}: no configuration of its space needs at most {self.protocol.passes} "
            "U-Net passes to fit; raise tuning.passes of the suite"
        )

    def _fits(self, parameters: dict[str, Any], *, passes: int) -> bool:
        return affordable(self.development, self.method, parameters, concepts=self.concepts, passes=passes)

    def _seed(self, stream: str) -> int:
        """Seed of one part of the search, so that it does not depend on what ran before."""
        text = f"{self.protocol.seed}\n{self.suite.name}\n{self.label}\n{stream}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")

    def _add(self, record: TuningRecord, planned: Sequence[Planned], *, stage: Stage) -> TuningRecord:
        """The record with these trials, written after each of them."""
        for trial in self._outcomes(planned, stage):
            trials = sorted([*record.trials, trial], key=lambda each: each.number)
            # A resumed search knows the rounded numbers that were written, so this one uses them too.
            text = record.model_copy(update={"trials": trials}).model_dump_json()
            record = self._written(TuningRecord.model_validate_json(text))
            self._report(record, trial)
        return record

    def _written(self, record: TuningRecord) -> TuningRecord:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, record.text().encode())
        return record

    def _outcomes(self, planned: Sequence[Planned], stage: Stage) -> Iterator[Trial]:
        """The trials of a stage as they finish."""
        costly = [
            one
            for one in planned
            if one.origin != "longer" and not self._fits(one.parameters, passes=self.protocol.passes)
        ]
        for one in costly:
            reason = f"may need more than {self.protocol.passes} U-Net passes to fit"
            yield one.without_result("over budget", reason)
        rest = [one for one in planned if one not in costly]
        if not rest:
            return
        task = partial(
            run_trial,
            development=stage.suite,
            method=self.method,
            baseline=stage.baseline,
            folder=self.work,
            quiet=self.workers > 1,
        )
        if self.workers == 1 or len(rest) < 2:
            yield from map(task, rest)
            return
        yield from self._side_by_side(task, rest)

    def _side_by_side(self, task: Callable[[Planned], Trial], planned: Sequence[Planned]) -> Iterator[Trial]:
        """The trials as they finish in worker processes."""
        check_script()
        # A forked process would inherit torch's locked threads.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(self.workers, mp_context=context, initializer=follow_parent)
        try:
            for future in as_completed([pool.submit(task, one) for one in planned]):
                yield future.result()
        except BrokenProcessPool as fault:
            raise EvenhandError(
                f"method {self.label!r}: a worker process of the search ended, possibly out of memory; use "
                "fewer --workers and run the same command again to resume"
            ) from fault
        except KeyboardInterrupt:
            # A trial can take hours; what it has made is kept, and the next search continues it.
            for process in multiprocessing.active_children():
                process.kill()
            raise
        finally:
            # An error of the machine ends the search; trials that wait would meet it too.
            pool.shutdown(cancel_futures=True)

    def _report(self, record: TuningRecord, trial: Trial) -> None:
        """One line about a finished trial, with the time left."""
        self.new += 1
        seconds = (time.monotonic() - self.started) / self.new
        most = record.screening.finalists if record.screening else 0
        planned = max(record.trials_planned + (len(record.finalists) or most), len(record.trials))
        left = seconds * (planned - len(record.trials))
        found = f"distance {trial.distance:.3f}" if trial.status == "finished" else trial.status
        broken = f", exceeds a gate by {trial.violation:.0%}" if trial.violation else ""
        self.shown.say(
            f"{self.label}: trial {len(record.trials)} of {planned}, {found}{broken}; "
            f"about {left / 60:.0f} min left"
        )
