"""Records of tuned methods."""

import json
from itertools import combinations

import numpy as np
import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.bench.results.tuning import HarmRow, Trial, TuningRecord, best_of_k, read_tuning


def trial(number, distance, loss=0.0, **more):
    fields = {
        "number": number,
        "origin": "quasi-random",
        "parameters": {"scale": number / 2},
        "status": "finished",
        "distance": distance,
        "low": distance - 0.1,
        "high": distance + 0.1,
        "harms": [HarmRow(name="explicit_fidelity gender", value=loss, margin=0.05)],
        "passes": 100,
    }
    return Trial(**fields | more)


def record(*trials):
    return TuningRecord(
        suite="s",
        suite_version="1",
        development="d",
        method="m",
        method_version="1",
        model_revision="r",
        seed=0,
        trials_planned=3,
        passes_allowed=1000,
        fixed={},
        space={"scale": {"low": 0.0, "high": 2.0, "log": False, "integer": False}},
        baseline=0.6,
        trials=list(trials),
    )


def test_the_winner_has_the_lowest_distance_within_the_gates():
    assert record(trial(0, 0.5), trial(1, 0.2, loss=0.06), trial(2, 0.3)).winner.number == 2


def test_without_a_trial_within_the_gates_the_least_harmful_one_wins():
    assert record(trial(0, 0.5, loss=0.07), trial(1, 0.2, loss=0.30)).winner.number == 0


def test_the_earlier_of_equal_trials_wins():
    assert record(trial(2, 0.3), trial(1, 0.3)).winner.number == 1


def test_a_failed_trial_never_wins():
    failed = trial(0, float("nan"), status="failed", reason="diverged", harms=[])
    assert record(failed).winner is None
    assert record(failed, trial(1, 0.9, loss=0.9)).winner.number == 1


def test_a_record_is_finished_with_its_last_planned_trial():
    assert not record(trial(0, 0.1), trial(1, 0.1)).finished
    assert record(*(trial(i, 0.1) for i in range(3))).finished


def test_the_expected_best_equals_the_mean_over_all_subsets():
    scores = [0.9, 0.2, 0.5, 0.4, 0.4]
    for k, found in enumerate(best_of_k(scores), start=1):
        assert found == pytest.approx(np.mean([min(some) for some in combinations(scores, k)]))


def test_a_record_survives_writing_and_reading(tmp_path):
    path = tmp_path / "m.json"
    written = record(trial(0, 0.123456789), trial(1, float("nan"), status="failed", reason="x", harms=[]))
    path.write_text(written.text())
    assert read_tuning(path).text() == written.text()


@pytest.mark.parametrize("field", ["winner", "baseline", "digest"])
def test_a_record_changed_by_hand_is_refused(tmp_path, field):
    path = tmp_path / "m.json"
    body = json.loads(record(trial(0, 0.5)).text())
    path.write_text(json.dumps(body | {field: {"scale": 1.0} if field == "winner" else "0.5"}))
    with pytest.raises(EvenhandError, match="digest does not match"):
        read_tuning(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"winner": null, "digest": ""}'])
def test_another_file_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "m.json"
    path.write_text(text)
    with pytest.raises(EvenhandError, match="not a tuning record"):
        read_tuning(path)
