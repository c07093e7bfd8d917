"""Time every command that works on a finished run of many images: resume, report, submit, check.

    python -m evenhand.bench.benchmarks.large_run [--images 100000] [--folder FOLDER]

Makes the folder of a run that looks finished: small synthetic images with true keys, fits of methods that
compute nothing, labels of simulated judges and random embeddings. Then runs the commands themselves, each in
a new process, and prints seconds, processor seconds (also of its own processes) and the largest memory, all
without starting Python. 100,000 images take 0.6 GB of disk. The suite is registered for these processes only.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import entry_points
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pandas as pd

from evenhand.bench.benchmarks.scale import in_a_process, sampler_of, write_tables
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.prompts.plan import concepts, make_plan
from evenhand.bench.prompts.selection import method_uses
from evenhand.bench.registry.method_spec import MethodUse
from evenhand.bench.stages.fit import CountedJudge, CountedSample, fit
from evenhand.bench.stages.generate import Drawing, image_rows
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.fits import Fitted, fit_folder
from evenhand.bench.storage.images import INDEX
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.suites.suite import Suite, load_suite
from evenhand.bench.suites.toml_text import to_toml
from evenhand.methods.base import Images

NAME = "large"
"""The suite that is registered for the benchmark."""

METHODS = ("base", "entigen", "random-attribute-prompt", "fair-diffusion")
"""Methods whose fits compute nothing."""

COLOURS = 8
"""Colours per side of a synthetic image, which make it as large on disk as a small file can be."""


def suite_of(images: int) -> Suite:
    """Suite ``mini`` with the number of seeds for about this many images of all methods."""
    suite = load_suite("mini")
    factor = images / (len(METHODS) * len(make_plan(suite)[0]))
    uses = tuple(use.model_copy(update={"seeds": max(1, round(use.seeds * factor))}) for use in suite.prompts)
    return suite.model_copy(update={"name": NAME, "prompts": uses, "defaults": METHODS})


def register(suite: Suite, folder: Path) -> None:
    """Install a package that registers the suite into ``folder``, for this process and those it starts."""
    metadata = folder / f"evenhand_{NAME}-0.dist-info"
    metadata.mkdir(parents=True)
    (folder / "suite.toml").write_text(to_toml(suite.model_dump(mode="json")), encoding="utf-8")
    (folder / f"evenhand_{NAME}.py").write_text(
        "from pathlib import Path\nSUITE = Path(__file__).with_name('suite.toml')\n", encoding="utf-8"
    )
    (metadata / "METADATA").write_text(f"Name: evenhand-{NAME}\nVersion: 0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(
        f"[evenhand.suites]\n{NAME} = evenhand_{NAME}:SUITE\n", encoding="utf-8"
    )
    sys.path.insert(0, str(folder))


def fill(suite: Suite, folder: Path) -> None:
    """Write everything of a run of ``suite`` but its results."""
    rng, run_folder, sampler = np.random.default_rng(0), RunFolder(folder), sampler_of(suite)
    folder.mkdir(parents=True)
    run_folder.initialize(suite)
    items, protocol, tables = make_plan(suite)[0], suite.protocol.model_dump_json(), []
    for use in method_uses(suite, None):
        fitted = fitted_in(run_folder, use, suite=suite, sampler=sampler)
        jobs = Drawing(fitted.intervention, sampler=sampler, protocol=protocol).jobs(items)
        statuses = dict.fromkeys((job.key for job in jobs), "ok")
        for key in statuses:
            run_folder.images.put(key, synthetic(suite, rng))
        run_folder.images.remember(statuses)
        tables.append(image_rows(use.label, jobs, statuses, run_folder.images))
    write_tables(suite, folder, pd.concat(tables, ignore_index=True), rng=rng)


def fitted_in(run_folder: RunFolder, use: MethodUse, *, suite: Suite, sampler: Sampler) -> Fitted:
    """The fit of a method that draws nothing, stored in the run folder."""
    protocol = suite.protocol.model_dump_json()
    return fit(
        use,
        suite=suite,
        concepts=concepts(make_plan(suite)[0]),
        sample=CountedSample(sampler, run_folder.images, protocol, Progress(quiet=True)),
        judge=CountedJudge(None, None),
        folder=fit_folder(run_folder.root, use.label),
    )


def synthetic(suite: Suite, rng: np.random.Generator) -> Images:
    """An image of random squares of the suite's size."""
    height, width = suite.protocol.height, suite.protocol.width
    squares = rng.integers(256, size=(COLOURS, COLOURS, 3), dtype=np.uint8)
    return np.repeat(np.repeat(squares, height // COLOURS, axis=0), width // COLOURS, axis=1)


def run_command(words: Sequence[str], answer: Connection) -> None:
    """Run a command of the command line in this process, and send what it took."""
    (command,) = entry_points(group="console_scripts", name="evenhand")
    evenhand, told = command.load(), io.StringIO()
    started, before = time.monotonic(), processor()
    with redirect_stdout(told), redirect_stderr(told):
        try:
            evenhand(words)
        except SystemExit as stop:
            code = stop.code
    if code:
        sys.exit(told.getvalue())
    # Unlike ru_maxrss, this does not count the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    memory = int(peak[1]) / 2**20 if peak else float("nan")
    answer.send(f"{time.monotonic() - started:.1f} s, {processor() - before:.1f} s, {memory:.2f} GiB")


def processor() -> float:
    """Processor seconds of this process and of those that it has started and that have ended."""
    return sum(os.times()[:4])


def report(name: str, words: Sequence[str]) -> None:
    """Run a command in a new process, and print what it took."""
    receiver, sender = multiprocessing.get_context("spawn").Pipe(duplex=False)
    in_a_process(run_command, words, sender)
    sys.stdout.write(f"{name}: {receiver.recv()}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the folder and time the commands."""
    parser = argparse.ArgumentParser(description="Time the commands that work on a finished run.")
    parser.add_argument("--images", type=int, default=100_000, help="images of all methods")
    parser.add_argument("--folder", type=Path, help="where to make the run folder, and to keep it")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        suite, folder = suite_of(chosen.images), chosen.folder or Path(scratch, "run")
        register(suite, Path(scratch, "site"))
        entries = str(Path(scratch, "entries"))
        if not folder.is_dir():
            in_a_process(fill, suite, folder)
        run = ("run", NAME, "--out", str(folder))
        commands = {
            "measure and report": run,
            "resume, nothing to do": run,
            "report and gallery": ("report", str(folder)),
            "submit": ("board", "submit", str(folder), "--entries", entries),
            "check the entries": ("board", "check", "--entries", entries),
        }
        for name, words in commands.items():
            report(name, words)
        (folder / "images" / INDEX).unlink()
        report("resume, every image decoded again", run)


if __name__ == "__main__":
    main()
