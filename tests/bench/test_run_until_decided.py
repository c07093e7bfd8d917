"""A run until decided doubles its explicit images, reuses all of them, and stays the same suite."""

import pytest
from helpers.paths import TINY

from evenhand.bench import evaluate
from evenhand.bench import run as module
from evenhand.bench.suites.prompt_use import PromptUse
from evenhand.bench.suites.suite import read_suite

pytestmark = pytest.mark.slow

METHOD = "random-attribute-prompt"
LOOKS = [4, 8, 16, 32]
NEUTRAL = 8


@pytest.fixture(scope="module")
def suite():
    """The tiny suite with four explicit prompts, too few to decide anything."""
    tiny = read_suite(TINY)
    explicit = PromptUse(name="intersectional-mini", seeds=1, asks=("gender",), limit=4)
    return tiny.model_copy(update={"prompts": (*tiny.prompts, explicit)})


def images(folder):
    return {path: path.stat().st_mtime_ns for path in (folder / "images").rglob("*.png")}


def results(folder):
    return {path.name: path.read_bytes() for path in (folder / "results").glob("*.json")}


@pytest.fixture(scope="module")
def fixed(suite, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fixed") / "run"
    return folder, evaluate(suite, methods=[METHOD], out=folder)


def test_it_ends_at_the_last_look_and_reuses_every_image(suite, fixed):
    folder, run = fixed
    before = images(folder)
    assert {row.look for row in run.result(METHOD).losses} == {0}
    sequential = evaluate(suite, methods=[METHOD], out=folder, until_decided=True)
    result = sequential.result(METHOD)
    assert [r.coverage.planned for r in sequential.results] == [NEUTRAL + LOOKS[-1]] * 2
    assert {row.look for row in result.losses if row.kind == "explicit"} == {len(LOOKS)}
    assert {path: images(folder)[path] for path in before} == before
    assert result.spec.suite_digest == run.result(METHOD).spec.suite_digest == suite.digest()


def test_an_interrupted_run_resumes_to_the_same_results(suite, fixed, tmp_path, monkeypatch):
    folder, _ = fixed
    evaluate(suite, methods=[METHOD], out=folder, until_decided=True)
    interrupted = tmp_path / "run"
    measured = module._Session._measure
    calls = []

    def broken(self, *args):
        calls.append(self.look)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measured(self, *args)

    monkeypatch.setattr(module._Session, "_measure", broken)
    with pytest.raises(KeyboardInterrupt):
        evaluate(suite, methods=[METHOD], out=interrupted, until_decided=True)
    kept = images(interrupted)
    evaluate(suite, methods=[METHOD], out=interrupted, until_decided=True)
    assert calls == [1, 2, 1, 2, 3, 4]
    assert {path: images(interrupted)[path] for path in kept} == kept
    assert results(interrupted) == results(folder)


def test_it_ends_at_the_first_look_where_nothing_is_undecided(suite, tmp_path):
    run = evaluate(suite, methods=["base"], out=tmp_path / "run", until_decided=True)
    assert [result.coverage.planned for result in run.results] == [NEUTRAL + LOOKS[0]]
