"""Searches from start to end on a small suite of the bundled model."""

import json

import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.bench.results.tuning import read_tuning
from evenhand.bench.stages.progress import Progress
from evenhand.bench.suites.prompt_use import PromptUse
from evenhand.bench.suites.suite import load_suite
from evenhand.bench.tuning import tune as module
from evenhand.bench.tuning.summary import closing_lines, trial_table, write_page
from evenhand.bench.tuning.tune import record_path, tune
from evenhand.methods.prompts.entigen import Entigen

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
        assert ("Expected best of k trials" in page) == bool(record.best_of_k)


@pytest.mark.slow
def test_a_configuration_over_budget_is_not_fitted(tmp_path):
    record = search(tmp_path, small_suite(passes=1, trials=1, quasi_random=1), method="mist")
    (trial,) = record.trials
    assert trial.status == "over budget" and "1 U-Net passes" in trial.reason
    assert json.loads(record.text())["winner"] is None


def test_a_method_without_a_space_has_nothing_to_tune(tmp_path):
    assert not Entigen.space()
    with pytest.raises(EvenhandError, match="'entigen' has nothing to tune"):
        search(tmp_path, method="entigen")
