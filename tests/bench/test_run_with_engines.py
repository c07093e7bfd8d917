"""Several processes or a Ray cluster give the bytes of a run in one process, even if workers die."""

import importlib.util
import os
import subprocess
import sys

import pytest
from helpers.audit import renders, write_csv
from helpers.paths import TINY

from evenhand.bench import evaluate
from evenhand.bench.audit import audit
from evenhand.bench.engines.worker import Assignment, DrawBlock, JudgeBlock, Worker
from evenhand.bench.errors import EvenhandError

CLOCKED = {".lock", "run.log", "timing.json", "report.html", "index.txt"}

CODE = """
import os, signal, sys
from pathlib import Path
from evenhand.bench import evaluate
from evenhand.bench.audit import audit
from evenhand.bench.engines import prefetch
from evenhand.bench.engines.worker_pool import Scheduler

def workers():
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes()
            ours = (place / "cwd").readlink() == Path.cwd()
        except OSError:
            continue
        if ours and (b"ray::Worker" in words or b"multiprocessing.spawn" in words):
            yield int(place.name)

class Murderous(Scheduler):
    # Workers just hired have a block and no answer yet, so that whoever is killed loses one, on any machine.
    killed = set()

    def _assign(self, role):
        before = set(workers())
        super()._assign(role)
        kinds = {type(block).__name__ for kind, block in self._busy.values() if kind == role}
        while not kinds <= self.killed:
            for pid in set(workers()) - before:
                os.kill(pid, signal.SIGKILL)
                self.killed |= kinds

if __name__ == "__main__":
    prefetch.Scheduler = Murderous
    suite, out, engine, *images = sys.argv[1:]
    if images:
        folder, prompts = map(Path, images)
        audit(folder, prompts=prompts, suite=suite, base="biased", out=Path(out), engine=engine, workers=2)
    else:
        evaluate(suite, methods=["mist", "uce"], out=Path(out), engine=engine, workers=2)
    assert Murderous.killed == ({"JudgeBlock"} if images else {"FitBlock", "DrawBlock", "JudgeBlock"})
"""


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in CLOCKED)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A run in one process."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    evaluate(str(TINY), methods=["mist", "uce"], out=folder)
    return contents(folder)


ENGINES = [
    "local",
    pytest.param(
        "ray", marks=pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="needs evenhand[ray]")
    ),
]


def with_killed_workers(place, *arguments):
    """Run or audit in a separate process that loses workers of every role; returns its output."""
    script = place / "script.py"
    script.write_text(CODE)
    command = [sys.executable, str(script), *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    assert {name for name in wanted if found[name] != wanted[name]} == set()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_workers_killed_during_a_run_do_not_change_its_bytes(alone, tmp_path, engine):
    folder = tmp_path / "run"
    said = with_killed_workers(tmp_path, TINY, folder, engine)
    assert said.count("its block is repeated") >= 3
    assert_same(contents(folder), alone)
    # The workers fitted and generated all; the main process had nothing left to do.
    log = (folder / "run.log").read_text()
    assert "all methods: fit: 2 of 2" in log
    assert "mist: fit, at most: 0 of" in log and "uce: fit, at most: 0 of" in log
    assert "all methods: generate and judge: 120 of 120" in log


@pytest.mark.slow
def test_workers_killed_during_an_audit_do_not_change_its_bytes(tmp_path):
    """On local workers: that those of Ray give the same answers is proven by the run."""
    listed, _ = renders(tmp_path / "images")
    images, prompts = tmp_path / "images", write_csv(tmp_path / "prompts.csv", listed)
    audit(images, prompts=prompts, suite=str(TINY), base="biased", out=tmp_path / "alone", name="images")
    folder = tmp_path / "run"
    said = with_killed_workers(tmp_path, TINY, folder, "local", images, prompts)
    assert "its block is repeated" in said
    assert_same(contents(folder), contents(tmp_path / "alone"))
    # Two judges and the scorer; the main process had nothing left to judge.
    work = 3 * len(listed)
    assert f"all images: judge: {work} of {work}" in (folder / "run.log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_an_audit_uses_the_requested_engine_and_number_of_workers(tmp_path, monkeypatch, engine):
    listed, _ = renders(tmp_path / "images")
    images, prompts = tmp_path / "images", write_csv(tmp_path / "prompts.csv", listed)
    asked = []
    monkeypatch.setattr(
        "evenhand.bench.audit.start", lambda name, *, workers, **_: asked.append((name, workers))
    )
    out = tmp_path / "run"
    audit(images, prompts=prompts, suite=str(TINY), base="biased", out=out, engine=engine, workers=2)
    assert asked == [(engine, 2)]


def test_an_unknown_engine_or_invalid_worker_count_is_rejected_at_once(evenhand, tmp_path):
    done = evenhand("run", TINY, "--engine", "rays", "--out", tmp_path / "run")
    assert done.code == 2 and "unknown engine 'rays'; did you mean 'ray'?" in done.err
    done = evenhand("run", TINY, "--workers", -1, "--out", tmp_path / "run")
    assert done.code == 2 and "--workers" in done.err
    assert not (tmp_path / "run").exists()


def test_missing_ray_is_an_error_with_install_instructions(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EvenhandError, match=r"pip install 'evenhand\[ray\]'"):
        evaluate(str(TINY), out=tmp_path / "run", engine="ray")


def answer(block=None, **assigned):
    worker = Worker(Assignment(**assigned), cores=1)
    fault = worker.answer(block or JudgeBlock("base", {}))
    assert isinstance(fault, EvenhandError)
    return str(fault)


def test_a_machine_without_the_folder_or_with_other_packages_is_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "has no folder" in answer(run=tmp_path / "missing")
    assert "torch" in answer(run=tmp_path, packages={"torch": "0.0"})


def test_a_machine_with_a_different_model_revision_is_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suite.toml").write_bytes(TINY.read_bytes())
    message = answer(DrawBlock("base", "", ()), run=tmp_path, revision="0" * 64)
    assert "model 'mini' has revision" in message
