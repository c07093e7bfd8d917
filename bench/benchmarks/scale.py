"""Time a run without generation and judging, from a thousand to a million label rows.

    python -m evenhand.bench.benchmarks.scale [--rows 1000000]

Images are simulated: tables of suite ``mini`` with more seeds, judges with errors, random embeddings. Times
the code of a run: plan, keys and lookup of existing images; then reading tables, the panel vote, alignment,
all metrics with the bootstrap of the suite, and writing results as JSON. Prints the cost per row for every
size, and its ratio to that of the largest size. Part of the cost is constant, so small sizes cost more per
row.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import TypeAdapter
from threadpoolctl import threadpool_limits

from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.prompts.plan import concepts, make_plan
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.bench.stages.generate import Drawing, Job, image_rows
from evenhand.bench.stages.measure import Evaluation
from evenhand.bench.stages.progress import Progress
from evenhand.bench.stages.write import measured_fields
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.suites.evaluation_config import EvaluationConfig
from evenhand.bench.suites.suite import Suite, load_suite
from evenhand.methods.base import Intervention
from evenhand.metrics.estimation.panel import PANEL
from evenhand.metrics.judges.base import Judge
from evenhand.metrics.table import PERSON_KINDS, label_rows

METHODS = ("base", "mist", "uce", "sortition")
SURE = (0.7, 1.0)
"""Limits of the probability that a simulated judge assigns to its label."""
ACCURACY = 0.9
"""Probability that this label is right."""


def enlarged(rows: int) -> Suite:
    """Suite ``mini`` with the number of seeds for about this many label rows."""
    suite = load_suite("mini")
    judges = [load_judge(name) for name in (*suite.panel, *suite.non_voting_judges)]
    answers = sum(name in judge.info.taxonomies for judge in judges for name in suite.taxonomy)
    people = sum(item.prompt.kind in PERSON_KINDS for item in make_plan(suite)[0])
    factor = rows / (people * len(METHODS) * answers)
    uses = [use.model_copy(update={"seeds": max(1, round(use.seeds * factor))}) for use in suite.prompts]
    return suite.model_copy(update={"prompts": tuple(uses)})


def sampler_of(suite: Suite) -> Sampler:
    """The sampler of the suite."""
    return Sampler(load_model(suite.model), suite.protocol)


def planned(suite: Suite, folder: Path, sampler: Sampler) -> tuple[dict[str, list[Job]], pd.DataFrame]:
    """Jobs of all methods, and the image table; looks up existing images, as a resumed run does."""
    items, _ = make_plan(suite)
    store = RunFolder(folder).images
    protocol = suite.protocol.model_dump_json()
    jobs, tables = {}, []
    for method in METHODS:
        drawing = Drawing(Intervention(data={"method": method}), sampler=sampler, protocol=protocol)
        jobs[method] = drawing.jobs(items)
        statuses = store.statuses(job.key for job in jobs[method])
        known = {job.key: statuses.get(job.key, "ok") for job in jobs[method]}
        tables.append(image_rows(method, jobs[method], known, store))
    return jobs, pd.concat(tables, ignore_index=True)


def simulate(rows: int, folder: Path) -> None:
    """Write the tables of a simulated run, and an empty file for every image, to ``folder``."""
    suite, rng = enlarged(rows), np.random.default_rng(0)
    jobs, images = planned(suite, folder, sampler_of(suite))
    run_folder = RunFolder(folder)
    for listed in jobs.values():
        for job in listed:
            path = run_folder.images.path(job.key)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        run_folder.images.remember({job.key: "ok" for job in listed})
    write_tables(suite, folder, images, rng=rng)


def write_tables(suite: Suite, folder: Path, images: pd.DataFrame, *, rng: np.random.Generator) -> None:
    """Write labels of simulated judges and random embeddings of these images, each once, to ``folder``."""
    run_folder, evaluation = RunFolder(folder), evaluation_of(suite, folder)
    images = images.drop_duplicates("key")
    keys = images.loc[images["kind"].isin(PERSON_KINDS), "key"].to_numpy()
    truth = {name: rng.integers(len(groups), size=len(keys)) for name, groups in suite.taxonomy.items()}
    for judge in evaluation.judges.values():
        for name in [name for name in suite.taxonomy if name in judge.info.taxonomies]:
            run_folder.labels.append(labels(judge, name, keys=keys, truth=truth[name], suite=suite, rng=rng))
    assert evaluation.scorer is not None
    vectors = rng.normal(size=(len(images), evaluation.scorer.embed_texts(["a"]).shape[1])).astype("f4")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    version = evaluation.scorer.version
    run_folder.vectors.append(
        pd.DataFrame({"key": images["key"], "scorer": version, "vector": list(vectors)})
    )


def labels(
    judge: Judge,
    attribute: str,
    *,
    keys: NDArray[np.object_],
    truth: NDArray[np.int64],
    suite: Suite,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Labels of a simulated judge with accuracy :data:`ACCURACY`."""
    groups = suite.taxonomy[attribute]
    wrong = rng.random(len(keys)) > ACCURACY
    said = np.where(wrong, rng.integers(len(groups), size=len(keys)), truth)
    sure = rng.uniform(*SURE, size=len(keys))
    probabilities = np.repeat((1 - sure)[:, None] / len(groups), len(groups) + 1, axis=1)
    probabilities[np.arange(len(keys)), said] = sure
    return label_rows(
        keys=list(keys),
        judge=judge.info.name,
        version=judge.info.version,
        family=judge.info.family,
        attribute=attribute,
        groups=groups,
        probabilities=probabilities,
        status=["ok"] * len(keys),
    )


def evaluation_of(suite: Suite, folder: Path) -> Evaluation:
    """The evaluation of the run in ``folder``."""
    return Evaluation(EvaluationConfig.of(suite), RunFolder(folder), Progress(quiet=True))


@dataclass
class Clock:
    """Processor seconds by step."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step."""
        started = time.process_time()
        yield
        self.seconds[name] = time.process_time() - started


def timed(rows: int, folder: Path, answer: Connection) -> None:
    """Run the timed steps in this process, and send times, sizes and peak memory."""
    suite, clock = enlarged(rows), Clock()
    evaluation = evaluation_of(suite, folder)
    evaluation.load()
    sampler = sampler_of(suite)
    started = time.monotonic()
    with threadpool_limits(1, user_api="blas"):
        with clock.step("plan and resume"):
            jobs, images = planned(suite, folder, sampler)
        items = sum(map(len, jobs.values()))
        del jobs
        resumed = time.monotonic() - started
        with clock.step("read and vote"):
            read = evaluation.judge(images, timed=lambda method: nullcontext())
        with clock.step("alignment"):
            vectors = evaluation.embed(images)
        with clock.step("measure"):
            measured = evaluation.measure(
                images, read, vectors, concepts=concepts(make_plan(suite)[0]), base="base"
            )
        with clock.step("results"):
            fields = [measured_fields(measured, method) for method in METHODS]
            data = TypeAdapter(list[dict[str, Any]]).dump_json(fields)
    whole = time.monotonic() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    rows_read = int((read["judge"] != PANEL).sum())
    answer.send((items, rows_read, len(data), clock.seconds, resumed, whole, memory))


def in_a_process(function: Callable[..., None], *arguments: object) -> None:
    """Call a function in a separate process, so that peak memory is that of the call."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(f"{function.__name__} ended with exit code {process.exitcode}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print times and memory for every size."""
    parser = argparse.ArgumentParser(description="Time a run without generation and judging.")
    parser.add_argument("--rows", type=int, default=1_000_000, help="label rows of the largest size")
    rows = parser.parse_args(arguments).rows
    sizes = [size for size in (1_000, 10_000, 100_000, 1_000_000, 10_000_000) if size < rows] + [rows]
    costs = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            in_a_process(simulate, size, folder)
            receiver, sender = multiprocessing.get_context("spawn").Pipe(duplex=False)
            in_a_process(timed, size, folder, sender)
            items, read, written, seconds, resumed, whole, memory = receiver.recv()
        costs[size] = sum(seconds.values()) / read
        steps = ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
        sys.stdout.write(
            f"{read} label rows of {items} images: {whole:.1f} s ({resumed:.1f} s to plan and resume), "
            f"{memory:.1f} GB peak memory, {written / 1e6:.1f} MB of results; processor time: {steps}\n"
        )
    for size, cost in costs.items():
        ratio = cost / costs[rows]
        sys.stdout.write(
            f"{size} rows: {1e6 * cost:.0f} microseconds per row, {ratio:.1f} times that of {rows} rows\n"
        )


if __name__ == "__main__":
    main()
