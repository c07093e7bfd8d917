"""What a search shows at the end."""

import math

from helpers.tuning import a_record, a_trial

from evenhand.bench.tuning.summary import closing_lines, space_of, trial_table, tried_of
from evenhand.methods.space import Choice, Range

FAILED = a_trial(
    3,
    math.nan,
    status="failed",
    reason="diverged",
    low=math.nan,
    high=math.nan,
    harms=[],
    parameters={},
    passes=0,
)
RECORD = a_record(a_trial(1, 0.4), a_trial(2, 0.3, loss=0.06), FAILED)


def test_the_best_trial_is_first_and_marked():
    columns, rows = trial_table(RECORD)
    assert columns == ["trial", "distance", "95% interval", "worst loss", "scale", "U-Net passes"]
    assert [row[0] for row in rows] == ["1*", "2", "3"]
    assert rows[0] == ["1*", "0.400", "0.300 to 0.500", "0.0% explicit fidelity gender", "0.5", 100]


def test_a_loss_over_its_gate_and_a_failed_trial_say_so():
    _, rows = trial_table(RECORD)
    assert rows[1][3] == "6.0% explicit fidelity gender (over the gate)"
    assert rows[2][1:5] == ["failed", "", "", '"default"']


def test_the_winner_is_compared_with_the_baseline():
    lines = closing_lines(RECORD)
    assert lines[0] == "winner: trial 1, distance 0.400 against 0.600 of the baseline"
    # A trial over its gate counts as 1: of one trial (0.4 + 1) / 2, of two the better one.
    assert lines[1] == "expected best of the trials chosen before any result: 0.700 of 1, 0.400 of 2"
    worst = closing_lines(a_record(a_trial(1, 0.4, loss=0.2)))
    assert worst[0].endswith("; no trial passes the gates")
    assert not any(line.startswith("expected best") for line in worst)
    assert closing_lines(a_record(FAILED)) == ["no trial has a result; see the reasons in the record"]


def test_only_finished_trials_guide_the_search():
    assert tried_of(RECORD) == [({"scale": 0.5}, 0.4), ({"scale": 1.0}, RECORD.trials[1].score)]


def test_the_space_is_that_of_the_record():
    scale = {"low": 0.0, "high": 2.0, "log": False, "integer": False}
    found = space_of(a_record(space={"scale": scale, "kind": {"values": ["k", "kv"]}}))
    assert found == {"scale": Range(low=0.0, high=2.0), "kind": Choice(("k", "kv"))}
