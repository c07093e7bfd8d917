"""The decisions on the methods of one run."""

from helpers.trade_off import placed

from evenhand.bench.policy.outcomes import Outcomes

RESULTS = [
    placed("base", distance=0.6),
    placed("mist", distance=0.3),
    placed("uce", distance=0.3, lost=0.2),
]


def test_every_method_has_the_outcome_of_its_gates():
    found = Outcomes.of(RESULTS)
    assert found.failures["mist"] == [] and found.bands["mist"] == "ranked"
    (reason,) = found.failures["uce"]
    assert "explicit fidelity" in reason and found.bands["uce"] == "harm proven"


def test_without_a_baseline_there_are_no_gates():
    found = Outcomes.of(RESULTS[1:])
    assert (found.gates, found.failures, found.bands) == ({}, {}, {})
    assert found.ranked == {"mist", "uce"}


def test_of_several_strengths_the_suites_own_is_ranked():
    sweep = [
        placed(label, distance=0.4, strength="scale", parameters={"scale": scale})
        for label, scale in (("mist", 1), ("mist:scale=2", 2))
    ]
    found = Outcomes.of([RESULTS[0], *sweep])
    assert "mist" in found.ranked and "mist:scale=2" not in found.ranked
    assert [(curve.own, curve.labels) for curve in found.curves] == [("mist", ("mist", "mist:scale=2"))]
    assert set(found.gates) == {"base", "mist", "mist:scale=2"}
