"""Runs the command line in separate processes and injects faults into them."""

from __future__ import annotations

import io
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from helpers.paths import DATA

SUITE = DATA / "faults_suite.toml"

CLOCKED = {".lock", "run.log", "timing.json", "report.html", "index.txt"}
"""Files that contain times or interruptions and are not results."""

PATIENCE = 600.0
"""Timeout of a process in seconds, long enough for slow machines."""


LIBRARIES = [
    "evenhand.bench.cli.main",
    "evenhand.bench.run",
    "evenhand.bench.models.sampler",
    "evenhand.bench.mini.judges",
    "evenhand.reports.run.report",
    "altair",
    "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion",
    "helpers.faults",
    "onnxruntime",
    "open_clip",
    "pyarrow.dataset",
    "transformers.models.vit.modeling_vit",
]
"""Importing these takes longer than a run, so every process is forked from one that has imported them."""


NO_CHART = '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1" viewBox="0 0 1 1"></svg>'


class Fault:
    """A fault of a process; this base class does nothing."""

    def install(self, folder: Path) -> None:
        """Prepare this process, which is about to run in ``folder``."""

    def at(self, stage: str) -> None:
        """Called at the beginning of every stage and after every finished unit."""


def die() -> None:
    """Kill this process with SIGKILL."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class SignalAtStage(Fault):
    """The process gets ``signal_number`` when it reports ``stage`` for the ``count``-th time.

    The stages are load, which makes the plan, fit, generate, judge, embed, measure, and write for all steps
    after measuring.
    """

    stage: str
    count: int = 1
    signal_number: int = signal.SIGKILL

    def at(self, stage: str) -> None:
        self.count -= stage == self.stage
        if self.count == 0 and stage == self.stage:
            os.kill(os.getpid(), self.signal_number)


@dataclass
class KilledAtWrite(Fault):
    """The process is killed right before it changes the folder for the ``count``-th time."""

    count: int

    def install(self, folder: Path) -> None:
        prefix = str(folder)

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            writes = event in {"os.rename", "os.remove", "os.mkdir", "os.rmdir"}
            if event == "open":
                writes = bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
            if writes and str(arguments[0]).startswith(prefix):
                self.count -= 1
                if self.count == 0:
                    die()

        sys.addaudithook(watch)


class ClockJumps(Fault):
    """The wall clock shows another year every time it is read."""

    def install(self, folder: Path) -> None:
        years, random = 365.25 * 86400, draws(0)

        def now() -> float:
            return random.uniform(0, 60) * years

        time.time, time.time_ns = now, lambda: int(now() * 1e9)


@dataclass
class Machine(Fault):
    """Another machine, with this number of cores and of threads per operation."""

    cores: int
    threads: int

    def install(self, folder: Path) -> None:
        import torch

        os.cpu_count = lambda: self.cores
        torch.set_num_threads(self.threads)


@dataclass
class Parts(Fault):
    """Labels are written after this number of images, and no batch is drawn ahead."""

    images: int

    def install(self, folder: Path) -> None:
        from evenhand.bench.models import sampler
        from evenhand.bench.stages import label

        label.CHUNK, sampler.MAX_QUEUED = self.images, 0


@dataclass
class WorkerFails(Fault):
    """The device is lost while the ``count``-th batch is drawn."""

    count: int

    def install(self, folder: Path) -> None:
        from evenhand.bench.models.sampler import Sampler

        draw = Sampler._batch

        def failing(sampler: Sampler, *arguments: Any) -> Any:
            self.count -= 1
            if self.count == 0:
                raise RuntimeError("the device is lost")
            return draw(sampler, *arguments)

        Sampler._batch = failing


@dataclass
class TakenAway(Fault):
    """The permission to write images is revoked at the first batch of images."""

    folder: Path | None = None

    def install(self, folder: Path) -> None:
        self.folder = folder

    def at(self, stage: str) -> None:
        if stage == "generate" and self.folder is not None:
            set_writable(self.folder, False)
            self.folder = None


def set_writable(folder: Path, writable: bool) -> None:
    """Revoke or restore the permission to change anything in ``folder``.

    File modes do not restrict the superuser, so the attribute "immutable" is used; if the file system has no
    such attribute, the test is skipped.
    """
    for place in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        if os.geteuid():
            place.chmod(0o700 if writable else 0o500)
            continue
        change = ["chattr", "-i" if writable else "+i", str(place)]
        done = subprocess.run(change, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"the superuser may write everywhere, and {done.stderr.strip()}")


@dataclass
class Ending:
    """How a process ended: exit code (-9 for killed), standard error, the last stage that it reported."""

    code: int
    error: str
    stage: str

    @property
    def message(self) -> str:
        """The last line of standard error."""
        return self.error.rstrip().rsplit("\n", 1)[-1]


def _child(folder: Path, arguments: list[str], fault: Fault, error: Path, stage: Path) -> None:
    """Run the command line with standard error in a file, and report the stages to ``fault``."""
    from evenhand.bench.cli import main as cli
    from evenhand.bench.stages import progress
    from evenhand.reports.components import vega

    class Told(progress.Progress):
        def start(self, label: str, total: int) -> None:
            super().start(label, total)
            self._tell(label.rsplit(": ", 1)[-1])

        def advance(self, n: int = 1) -> None:
            super().advance(n)
            self._tell(self.stage)

        def finish(self) -> None:
            super().finish()
            if self.stage == "measure":
                self._tell("write")

        def _tell(self, name: str) -> None:
            self.stage = name
            stage.write_text(name)
            fault.at(name)

    progress.Progress = Told
    # Starting the renderer takes a third of a run, and reports contain times and are not compared.
    vega.vl_convert.vegalite_to_svg = lambda specification: NO_CHART
    # Workers of pytest ignore SIGINT; a process started in a terminal does not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with error.open("w", buffering=1) as told, redirect_stderr(told), redirect_stdout(io.StringIO()):
        fault.install(folder)
        cli.main(["run", str(SUITE), "--out", str(folder), *arguments])


class Running:
    """A run of the fault suite in a separate process."""

    def __init__(self, folder: Path, *arguments: str, fault: Fault | None = None) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(LIBRARIES)
        scratch = folder.with_name(f"{folder.name}-told")
        scratch.mkdir(parents=True, exist_ok=True)
        self._error, self._stage = scratch / "error", scratch / "stage"
        for file in (self._error, self._stage):
            file.write_text("")
        call = (folder, list(arguments), fault or Fault(), self._error, self._stage)
        self.process = context.Process(target=_child, args=call)
        self.process.start()

    def wait_for(self, stage: str) -> None:
        """Wait until the process reports ``stage``."""
        until = time.monotonic() + PATIENCE
        while self._stage.read_text() != stage:
            assert self.process.is_alive() and time.monotonic() < until, self._error.read_text()
            time.sleep(0.01)

    def end(self, *, after: float | None = None) -> Ending:
        """Wait for the end; with ``after``, kill the process if it still runs after these seconds."""
        self.process.join(PATIENCE if after is None else after)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
            assert after is not None, f"the run did not end: {self._error.read_text()}"
        return Ending(self.process.exitcode, self._error.read_text(), self._stage.read_text())


def run(folder: Path, *arguments: str, fault: Fault | None = None) -> Ending:
    """Run the fault suite in ``folder`` to its end."""
    return Running(folder, *arguments, fault=fault).end()


def finish(folder: Path, *arguments: str) -> None:
    """Run the fault suite again, undisturbed; it must succeed."""
    ending = run(folder, *arguments)
    assert ending.code == 0, ending.error


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a run, except those that contain times."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in CLOCKED)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def whole_images(folder: Path) -> dict[Path, int]:
    """Modification times of the existing images."""
    return {path: path.stat().st_mtime_ns for path in (folder / "images").rglob("*.png")}


def unchanged(before: dict[Path, int], after: dict[Path, int]) -> bool:
    """Whether no image was written again; those of a fit are deleted when it is done."""
    return all(after.get(path, changed) == changed for path, changed in before.items())


def draws(seed: int) -> random.Random:
    """The random stream of a test."""
    return random.Random(f"evenhand faults {seed}")


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """Mount a file system at ``folder``; the test is skipped if mounting is not permitted."""
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def resize(folder: Path, size: int) -> None:
    """Resize the memory disk that is mounted at ``folder``; the size is in bytes."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)
