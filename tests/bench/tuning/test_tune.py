"""Searches from start to end on a small suite of the bundled model."""

import json
import shutil
import sys
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from types import SimpleNamespace

import pytest
import torch
from helpers.tuning import a_trial

from evenhand.bench.engines.local_pool import follow_parent
from evenhand.bench.errors import EvenhandError, NotInstalledError
from evenhand.bench.results.tuning import read_tuning
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.stored_run import load_run
from evenhand.bench.suites.prompt_use import PromptUse
from evenhand.bench.suites.suite import load_suite
from evenhand.bench.suites.tuning_config import Lengthening, Screening
from evenhand.bench.tuning import tune as module
from evenhand.bench.tuning.summary import closing_lines, trial_table, write_page
from evenhand.bench.tuning.tune import record_path, tune
from evenhand.methods.activations.respodiff import RespoDiff
from evenhand.methods.prompts.entigen import Entigen
from evenhand.metrics.vision.device import best_device, processor_name

METHOD = "eos-swap"


def small_suite(**more):
    suite = load_suite("mini-2")
    development = "development-mini"
    tuning = suite.tuning.model_copy(
        update={
            "prompts": (
                PromptUse(name=development, seeds=2, kinds=("neutral",), limit=5),
                PromptUse(name=development, seeds=1, kinds=("explicit",), limit=6),
            ),
            "trials": 4,
            "quasi_random": 2,
            "draws": 100,
            **more,
        }
    )
    # Small images: a search is the same whatever they show.
    protocol = suite.protocol.model_copy(update={"steps": 2, "guidance": 1.0, "width": 32, "height": 32})
    return suite.model_copy(update={"tuning": tuning, "protocol": protocol})


def search(folder, suite=None, method=METHOD, **more):
    return tune(
        method,
        suite or small_suite(),
        out=folder / "tuning",
        work=folder / "work",
        progress=Progress(quiet=True),
        **more,
    )


@pytest.fixture(scope="module", autouse=True)
def no_reports_of_trials():
    """Nothing here reads the report of a trial, and writing it takes longer than the trial."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evenhand.bench.run.write_report", lambda folder: None)
        yield


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned")
    return folder, search(folder)


@pytest.mark.slow
class TestSearch:
    def test_all_trials_are_recorded_with_their_origin(self, found):
        _, record = found
        assert [trial.origin for trial in record.trials] == ["start", "quasi-random", "tpe", "tpe"]
        assert record.finished and all(trial.status == "finished" for trial in record.trials)
        assert record.winner in record.trials

    def test_losses_come_from_the_gates(self, found):
        _, record = found
        names = {harm.name for trial in record.trials for harm in trial.harms}
        assert {"explicit_fidelity gender", "undetermined tone"} <= names

    def test_every_trial_states_the_processor_that_drew_it(self, found):
        here = processor_name(torch.device(best_device()))
        assert {trial.processor for trial in found[1].trials} == {here}

    def test_an_interrupted_search_ends_with_the_same_record(self, found, tmp_path, monkeypatch):
        whole = record_path(found[0] / "tuning", "mini", METHOD).read_bytes()
        run_trial = module.run_trial

        def interrupted(planned, **task):
            if planned.number == 2:
                raise KeyboardInterrupt
            return run_trial(planned, **task)

        with monkeypatch.context() as patch:
            patch.setattr(module, "run_trial", interrupted)
            with pytest.raises(KeyboardInterrupt):
                search(tmp_path)
        path = record_path(tmp_path / "tuning", "mini", METHOD)
        assert len(read_tuning(path).trials) == 2
        search(tmp_path)
        assert path.read_bytes() == whole

    def test_two_workers_give_the_same_record(self, found, tmp_path):
        search(tmp_path, workers=2)
        paths = [record_path(folder / "tuning", "mini", METHOD) for folder in (found[0], tmp_path)]
        assert paths[0].read_bytes() == paths[1].read_bytes()

    def test_a_finished_search_tries_nothing_more(self, found, monkeypatch):
        monkeypatch.delattr(module, "run_trial")
        assert search(found[0]).text() == found[1].text()

    def test_a_record_of_another_search_is_kept(self, found):
        with pytest.raises(EvenhandError, match="belongs to another search"):
            search(found[0], small_suite(seed=7))

    def test_table_and_page_show_every_trial_and_the_winner(self, found, tmp_path):
        _, record = found
        columns, rows = trial_table(record)
        assert len(rows) == 4 and all(len(row) == len(columns) for row in rows)
        assert sum(str(row[0]).endswith("*") for row in rows) == 1
        assert closing_lines(record)[0].startswith(f"winner: trial {record.winner.number}, distance")
        write_page(record, tmp_path / "page.html", suite=small_suite())
        page = (tmp_path / "page.html").read_text()
        assert f"{record.winner.number} (winner)" in page
        assert ("Expected best of k trials chosen before any result" in page) == bool(record.best_of_k)


def losses_seen(record):
    return {harm.name.split()[0] for trial in record.trials for harm in trial.harms}


@pytest.mark.slow
def test_a_search_sees_the_gate_of_over_correction_if_the_suite_has_development_prompts_for_it(
    found, tmp_path
):
    prompts = tmp_path / "own.csv"
    prompts.write_text(
        "prompt,concept,template,kind,cell\n"
        "a photo of a craftswoman,craftswoman,photo,over_correction,gender=woman\n"
        "a photo of a milkman,milkman,photo,over_correction,gender=man\n"
    )
    suite = small_suite(trials=1, quasi_random=1)
    uses = (*suite.tuning.prompts, PromptUse(name=str(prompts), seeds=1))
    suite = suite.model_copy(update={"tuning": suite.tuning.model_copy(update={"prompts": uses})})
    assert losses_seen(search(tmp_path, suite)) == losses_seen(found[1]) | {"over_correction"}


def suite_of_two_stages():
    first = Screening(finalists=1, steps=1, seeds=1)
    return small_suite(screening=first, trials=2, quasi_random=2)


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stages")
    return folder, search(folder, suite_of_two_stages())


@pytest.mark.slow
class TestSearchOfTwoStages:
    def test_the_best_trial_is_repeated_with_the_sampler_of_the_suite(self, staged):
        folder, record = staged
        assert [trial.origin for trial in record.trials] == ["start", "quasi-random", "finalist"]
        assert record.finished and record.winner == record.trials[2]
        assert record.trials[2].parameters == record.finalists[0].parameters
        runs = [load_run(folder / "work" / "mini" / METHOD / f"trial-{number:03d}") for number in (0, 2)]
        assert [run.results[0].spec.protocol["steps"] for run in runs] == [1, 2]

    def test_a_search_interrupted_before_its_second_stage_ends_with_the_same_record(self, staged, tmp_path):
        folder, record = staged
        shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
        path = record_path(tmp_path / "tuning", "mini", METHOD)
        path.write_text(record.model_copy(update={"trials": record.trials[:2]}).text())
        shutil.rmtree(tmp_path / "work" / "mini" / METHOD / "trial-002")
        assert search(tmp_path, suite_of_two_stages()).text() == record.text()


class Scripted:
    """Trials with given distances, without images; a text is the reason of a failure, an exception is raised.

    Attributes:
        tried: Number of RespoDiff's iterations in every trial.
    """

    def __init__(self, monkeypatch, *distances):
        self.distances, self.tried = distances, []
        monkeypatch.setattr(module, "run_trial", self.run)
        monkeypatch.setattr(module, "draw_baseline", lambda *_: SimpleNamespace(value=0.6))

    def run(self, planned, **_):
        self.tried.append(planned.parameters.get("iterations"))
        distance = self.distances[planned.number]
        if isinstance(distance, Exception):
            raise distance
        if isinstance(distance, str):
            return planned.without_result("failed", distance)
        result = {"distance": distance, "passes": 10}
        return a_trial(planned.number, origin=planned.origin, parameters=planned.parameters, **result)


def respodiff_suite(*, iterations=10, passes=10**9):
    tuning = {"trials": 1, "quasi_random": 1, "passes": 10**9}
    suite = small_suite(**tuning, lengthening=Lengthening(factor=4, passes=passes))
    return suite.model_copy(update={"methods": {"respodiff": {"iterations": iterations}}})


def test_an_error_of_the_machine_ends_the_search_which_resumes_once_it_is_fixed(tmp_path, monkeypatch):
    distances = [0.5, 0.4, 0.3, 0.2]
    Scripted(monkeypatch, *distances)
    whole = search(tmp_path / "whole").text()
    with monkeypatch.context() as patch:
        Scripted(patch, 0.5, 0.4, NotInstalledError("the package peft is missing"))
        with pytest.raises(NotInstalledError, match="peft is missing"):
            search(tmp_path)
    kept = read_tuning(record_path(tmp_path / "tuning", "mini", METHOD))
    assert [trial.status for trial in kept.trials] == ["finished"] * 2
    assert search(tmp_path).text() == whole


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (BrokenProcessPool(), r"'eos-swap': a worker process of the search ended, .* to resume"),
        (NotInstalledError("the package peft is missing"), "peft is missing"),
    ],
)
def test_an_error_of_a_worker_ends_the_search_and_cancels_the_trials_that_wait(
    tmp_path, monkeypatch, fault, message
):
    class Failing:
        def __init__(self, *_, **__):
            self.waiting = Future()

        def submit(self, task, planned):
            if planned.number:
                return self.waiting
            failed = Future()
            failed.set_exception(fault)
            return failed

        def shutdown(self, *, cancel_futures):
            assert cancel_futures and self.waiting.cancel()
            ended.append(self)

    ended = []
    Scripted(monkeypatch)
    monkeypatch.setattr(module, "check_script", lambda: None)
    monkeypatch.setattr(module, "ProcessPoolExecutor", Failing)
    with pytest.raises(EvenhandError, match=message):
        search(tmp_path, workers=2)
    assert len(ended) == 1


def test_an_interruption_does_not_wait_for_the_trials_that_run(tmp_path, monkeypatch):
    class Interrupted:
        def __init__(self, *_, initializer, **__):
            assert initializer is follow_parent

        def submit(self, task, planned):
            trial = Future()
            trial.set_exception(KeyboardInterrupt())
            return trial

        def shutdown(self, *, cancel_futures):
            assert killed, "it would wait for the trials"

    killed = []
    Scripted(monkeypatch)
    monkeypatch.setattr(module, "check_script", lambda: None)
    monkeypatch.setattr(module, "ProcessPoolExecutor", Interrupted)
    running = SimpleNamespace(kill=lambda: killed.append("trial"))
    monkeypatch.setattr(module.multiprocessing, "active_children", lambda: [running])
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, workers=2)
    assert killed == ["trial"]


class TestLongerTraining:
    def searched(self, folder, suite):
        record = search(folder, suite, method="respodiff")
        assert record.finished
        return record

    def test_the_best_training_is_made_longer_until_this_does_not_help(self, tmp_path, monkeypatch):
        script = Scripted(monkeypatch, 0.5, 0.4, 0.3, 0.31)
        record = self.searched(tmp_path, respodiff_suite())
        assert script.tried == [10, 40, 160, 640] and record.winner.number == 2
        assert [trial.origin for trial in record.trials] == ["start", *["longer"] * 3]
        assert record.lengthening.ended == "a longer training is not better"
        assert "training: a longer training is not better" in closing_lines(record)
        others = [{**trial.parameters, "iterations": 0} for trial in record.trials]
        assert all(other == others[0] for other in others)

    def test_a_longer_training_that_fails_ends_the_stage_with_its_reason(self, tmp_path, monkeypatch):
        Scripted(monkeypatch, 0.5, "the loss is not finite")
        record = self.searched(tmp_path, respodiff_suite())
        assert record.winner.number == 0
        assert record.lengthening.ended == "a longer training failed: the loss is not finite"

    def test_no_training_is_longer_than_published(self, tmp_path, monkeypatch):
        script = Scripted(monkeypatch, 0.5, 0.4)
        record = self.searched(tmp_path, respodiff_suite(iterations=3000))
        assert script.tried == [3000, RespoDiff().iterations] == [3000, 5000]
        assert record.lengthening.ended == "the training is as long as published"

    def test_no_training_needs_more_passes_than_allowed(self, tmp_path, monkeypatch):
        script = Scripted(monkeypatch, 0.5)
        record = self.searched(tmp_path, respodiff_suite(passes=100))
        assert script.tried == [10]
        assert record.lengthening.ended == "a longer training may need more than 100 U-Net passes"

    def test_an_interrupted_stage_ends_with_the_same_record(self, tmp_path, monkeypatch):
        Scripted(monkeypatch, 0.5, 0.4, 0.3, 0.31)
        whole = self.searched(tmp_path / "whole", respodiff_suite())
        path = record_path(tmp_path / "tuning", "mini", "respodiff")
        path.parent.mkdir(parents=True)
        stage = whole.lengthening.model_copy(update={"ended": ""})
        for kept in range(4):
            half = whole.model_copy(update={"trials": whole.trials[:kept], "lengthening": stage})
            path.write_text(half.text())
            assert self.searched(tmp_path, respodiff_suite()).text() == whole.text()

    def test_a_record_of_another_last_stage_is_kept(self, tmp_path, monkeypatch):
        Scripted(monkeypatch, 0.5, 0.6)
        self.searched(tmp_path, respodiff_suite())
        with pytest.raises(EvenhandError, match="belongs to another search"):
            search(tmp_path, respodiff_suite(passes=10**8), method="respodiff")

    def test_a_method_that_trains_nothing_has_no_last_stage(self, tmp_path, monkeypatch):
        Scripted(monkeypatch, 0.5)
        suite = small_suite(trials=1, quasi_random=1, lengthening=Lengthening(passes=100))
        record = search(tmp_path, suite)
        assert record.finished and record.lengthening is None


class TestVariant:
    def test_given_parameters_stay_fixed(self, tmp_path, monkeypatch):
        Scripted(monkeypatch, 0.5, 0.4)
        suite = small_suite(trials=2, quasi_random=2)
        record = search(tmp_path, suite, method="mist:scope=joint,step_size=0.1")
        assert record.method == "mist:scope=joint,step_size=0.1"
        assert record.fixed["scope"] == "joint" and record.fixed["step_size"] == 0.1
        assert "step_size" not in record.space and "lam" in record.space
        assert record_path(tmp_path / "tuning", "mini", record.method).exists()
        assert not record_path(tmp_path / "tuning", "mini", "mist").exists()
        plain = search(tmp_path, suite, method="mist")
        assert plain.fixed["scope"] == "per-concept" and plain.trials != record.trials

    def test_a_variant_without_a_searched_parameter_has_nothing_to_tune(self, tmp_path):
        with pytest.raises(EvenhandError, match=r"'eos-swap:weight=0\.5' has nothing to tune"):
            search(tmp_path, method="eos-swap:weight=0.5")


@pytest.mark.slow
def test_a_configuration_over_budget_is_not_fitted(tmp_path):
    record = search(tmp_path, small_suite(passes=1, trials=1, quasi_random=1), method="mist")
    (trial,) = record.trials
    assert trial.status == "over budget" and "1 U-Net passes" in trial.reason
    assert json.loads(record.text())["winner"] is None


def test_a_missing_optuna_is_noticed_before_the_first_trial(tmp_path, monkeypatch):
    # Only the trials after the quasi-random ones need it; a search must not end there.
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(EvenhandError, match=r"pip install 'evenhand\[tune\]'"):
        search(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_start_outside_the_space_is_refused_before_anything_is_drawn(tmp_path):
    methods = {"mist": {**load_suite("mini-2").methods["mist"], "rounds": 400}}
    suite = small_suite().model_copy(update={"methods": methods})
    with pytest.raises(EvenhandError, match=r"'mist': the search would start at rounds = 400, outside"):
        search(tmp_path, suite, method="mist")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "kept"), [("gender-fast", 1800 / 2048), ("intersectional-fast", 1400 / 2048)]
)
def test_fairimagen_starts_at_the_released_share_and_is_searched_to_the_end(
    name, kept, tmp_path, monkeypatch
):
    Scripted(monkeypatch, 0.5, 0.4, 0.3)
    monkeypatch.setattr(module, "load_model", lambda *_: SimpleNamespace(revision="r"))
    suite = load_suite(name)
    tuning = suite.tuning.model_copy(update={"trials": 2, "quasi_random": 1, "screening": None})
    record = search(tmp_path, suite.model_copy(update={"tuning": tuning}), method="fairimagen")
    assert [trial.origin for trial in record.trials] == ["start", "tpe"]
    assert record.trials[0].parameters == {"eps": 0.6, "kept": kept}


def test_a_method_without_a_space_has_nothing_to_tune(tmp_path):
    assert not Entigen.space()
    with pytest.raises(EvenhandError, match="'entigen' has nothing to tune"):
        search(tmp_path, method="entigen")
