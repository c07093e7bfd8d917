"""Records of tuned methods."""

import json
from itertools import combinations

import numpy as np
import pytest
from helpers.tuning import a_record, a_trial

from evenhand.bench.errors import EvenhandError
from evenhand.bench.results.tuning import best_of_k, read_tuning


def test_the_winner_has_the_lowest_distance_within_the_gates():
    assert a_record(a_trial(0, 0.5), a_trial(1, 0.2, loss=0.06), a_trial(2, 0.3)).winner.number == 2


def test_without_a_trial_within_the_gates_the_least_harmful_one_wins():
    assert a_record(a_trial(0, 0.5, loss=0.07), a_trial(1, 0.2, loss=0.30)).winner.number == 0


def test_a_loss_that_could_not_be_measured_is_not_within_its_gate():
    unknown = a_trial(0, 0.1, loss=float("nan"))
    assert a_record(unknown, a_trial(1, 0.5)).winner.number == 1


def test_the_earlier_of_equal_trials_wins():
    assert a_record(a_trial(2, 0.3), a_trial(1, 0.3)).winner.number == 1


def test_a_failed_trial_never_wins():
    failed = a_trial(0, float("nan"), status="failed", reason="diverged", harms=[])
    assert a_record(failed).winner is None
    assert a_record(failed, a_trial(1, 0.9, loss=0.9)).winner.number == 1


def test_a_record_is_finished_with_its_last_planned_trial():
    assert not a_record(a_trial(0, 0.1), a_trial(1, 0.1)).finished
    assert a_record(*(a_trial(i, 0.1) for i in range(3))).finished


def test_processors_are_named_once_in_the_order_of_the_trials():
    trials = [a_trial(i, 0.1, processor=name) for i, name in enumerate(["B", "", "A", "B"])]
    assert a_record(*trials).processors == ["B", "A"]


def test_a_trial_of_an_unknown_processor_states_none(tmp_path):
    record = a_record(a_trial(0, 0.1), a_trial(1, 0.1, processor="A"))
    assert ["processor" in trial for trial in record.model_dump(mode="json")["trials"]] == [False, True]
    path = tmp_path / "record.json"
    path.write_text(record.text())
    assert read_tuning(path) == record


FIRST = {"development": "f", "steps": 2, "seeds": 1, "finalists": 2, "baseline": 0.7}
TRIED = [a_trial(0, 0.4), a_trial(1, 0.1, loss=0.9), a_trial(2, 0.3)]


def again(number, distance, **more):
    return a_trial(number, distance, origin="finalist", **more)


def test_the_best_trials_of_the_first_stage_are_its_finalists():
    assert a_record(*TRIED[:2], screening=FIRST).finalists == []
    assert [trial.number for trial in a_record(*TRIED, screening=FIRST).finalists] == [2, 0]
    assert a_record(*TRIED).finalists == []


def test_a_failed_trial_is_no_finalist():
    failed = [a_trial(i, float("nan"), status="failed", reason="x", harms=[]) for i in (1, 2)]
    record = a_record(a_trial(0, 0.4), *failed, screening=FIRST)
    assert [trial.number for trial in record.finalists] == [0] and not record.finished
    assert a_record(*record.trials, again(3, 0.5), screening=FIRST).finished


def test_only_a_finalist_wins_after_a_first_stage():
    record = a_record(*TRIED, screening=FIRST)
    assert record.winner is None and not record.finished
    record = a_record(*TRIED, again(3, 0.6), again(4, 0.5), screening=FIRST)
    assert record.finished and record.winner.number == 4
    assert [trial.number for trial in record.ranked] == [4, 3, 2, 0, 1]


def test_finalists_are_no_random_trials():
    assert len(a_record(*TRIED, again(3, 0.2), screening=FIRST).best_of_k) == 3


def test_a_record_of_two_stages_survives_writing_and_reading(tmp_path):
    path = tmp_path / "m.json"
    written = a_record(*TRIED, again(3, 0.6), screening=FIRST)
    path.write_text(written.text())
    assert read_tuning(path).text() == written.text()
    assert '"screening"' not in a_record(*TRIED).text()


LAST = {"factor": 4, "passes": 5000}
WHOLE = [a_trial(i, 0.3 + i / 10) for i in range(3)]


def longer(number, distance, **more):
    return a_trial(number, distance, origin="longer", parameters={"scale": 0.0, "steps": 40}, **more)


def test_a_record_with_a_last_stage_is_finished_once_it_says_why_nothing_follows():
    assert not a_record(*WHOLE, lengthening=LAST).finished
    ended = LAST | {"ended": "a longer training is not better"}
    assert a_record(*WHOLE, lengthening=ended).finished
    assert not a_record(*WHOLE[:2], lengthening=ended).finished


def test_a_longer_training_can_win_and_is_no_random_trial():
    record = a_record(*WHOLE, longer(3, 0.1), lengthening=LAST)
    assert record.winner.number == record.ranked[0].number == 3
    assert record.searched == WHOLE and len(record.best_of_k) == 3
    assert a_record(*WHOLE, longer(3, 0.1, loss=0.5), lengthening=LAST).winner.number == 0


def test_after_a_first_stage_a_longer_training_can_win():
    record = a_record(*WHOLE, again(3, 0.6), longer(4, 0.5), screening=FIRST, lengthening=LAST)
    assert [trial.number for trial in record.ranked] == [4, 3, 0, 1, 2]


def test_parameters_of_a_longer_training_have_their_fixed_value_in_other_trials():
    record = a_record(*WHOLE, longer(3, 0.1), lengthening=LAST, fixed={"steps": 10})
    assert record.parameters == ["scale", "steps"]
    assert [record.value(trial, "steps") for trial in record.trials] == [10, 10, 10, 40]
    assert a_record(*WHOLE).value(WHOLE[0], "steps") == "default"


def test_a_search_begins_without_trials_and_without_an_end():
    ended = a_record(*WHOLE, lengthening=LAST | {"ended": "no trial has a result"})
    assert ended.begun == a_record(lengthening=LAST)
    assert '"lengthening"' not in a_record(*WHOLE).text()


def test_the_expected_best_equals_the_mean_over_all_subsets():
    scores = [0.9, 0.2, 0.5, 0.4, 0.4]
    for k, found in enumerate(best_of_k(scores), start=1):
        assert found == pytest.approx(np.mean([min(some) for some in combinations(scores, k)]))


def test_trials_proposed_from_results_are_not_among_those_drawn_at_random():
    start, proposed = a_trial(0, 0.5, origin="start"), a_trial(2, 0.1, origin="tpe")
    record = a_record(start, a_trial(1, 0.3), proposed)
    assert [trial.number for trial in record.fixed_before] == [0, 1]
    assert record.best_of_k == pytest.approx([0.4, 0.3])
    assert a_record(a_trial(0, 0.5, loss=0.07), proposed).best_of_k == []


def test_without_a_trial_within_the_gates_no_best_is_expected():
    assert a_record(a_trial(0, 0.5, loss=0.07), a_trial(1, 0.2, loss=0.30)).best_of_k == []
    assert len(a_record(a_trial(0, 0.5), a_trial(1, 0.2, loss=0.30)).best_of_k) == 2


def test_a_record_survives_writing_and_reading(tmp_path):
    path = tmp_path / "m.json"
    written = a_record(
        a_trial(0, 0.123456789), a_trial(1, float("nan"), status="failed", reason="x", harms=[])
    )
    path.write_text(written.text())
    assert read_tuning(path).text() == written.text()


@pytest.mark.parametrize("field", ["winner", "baseline", "digest"])
def test_a_record_changed_by_hand_is_refused(tmp_path, field):
    path = tmp_path / "m.json"
    body = json.loads(a_record(a_trial(0, 0.5)).text())
    path.write_text(json.dumps(body | {field: {"scale": 1.0} if field == "winner" else "0.5"}))
    with pytest.raises(EvenhandError, match="digest does not match"):
        read_tuning(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"winner": null, "digest": ""}'])
def test_another_file_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "m.json"
    path.write_text(text)
    with pytest.raises(EvenhandError, match="not a tuning record"):
        read_tuning(path)
