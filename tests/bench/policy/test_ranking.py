"""The rows of a suite: their order by track and band, their best methods, and how often they were fitted."""

from helpers.report import a_comparison
from helpers.site import board_rows
from helpers.trade_off import placed

from evenhand.bench.policy.ranking import FARTHER, SAME, fits_text, other_bands, rankings
from evenhand.bench.results.entry import FitRow

RANKS = {"base": (3, 3, "C"), "mist": (1, 1, "A"), "uce": (2, 2, "B"), "prompt": (1, 1, "A")}


def some_rows(**tracks):
    """The baseline, three ranked methods and a harmful one; tracks are by label."""
    labels = {"base": 0.6, "mist": 0.2, "uce": 0.3, "prompt": 0.1}
    results = [placed(label, distance=distance) for label, distance in labels.items()]
    rows = board_rows([*results, placed("harmful", distance=0.01, lost=0.3)], RANKS)
    return [row.model_copy(update={"track": tracks.get(row.label, "one model")}) for row in rows]


def ranking_of(rows):
    (found,) = rankings(rows)
    return found


def test_the_baseline_comes_first_then_track_by_track_the_bands():
    found = ranking_of(some_rows(prompt="at sampling time"))
    assert [row.label for row in found.rows] == ["base", "mist", "uce", "harmful", "prompt"]
    labels = {track: [row.label for row in rows] for track, rows in found.tracks.items()}
    assert labels == {"one model": ["mist", "uce", "harmful"], "at sampling time": ["prompt"]}


def test_every_track_has_its_own_best():
    found = ranking_of(some_rows(prompt="at sampling time"))
    assert (found.best("one model"), found.best("at sampling time")) == (["mist"], ["prompt"])
    assert found.best("a model per concept") == []


def test_a_method_not_distinguishable_from_the_baseline_is_neither_best_nor_on_a_front():
    rows = some_rows()
    still = {"comparisons": [a_comparison(0.0)]}
    rows = [
        row.model_copy(update={"result": row.result.model_copy(update=still)}) if row.label == "mist" else row
        for row in rows
    ]
    found = ranking_of(rows)
    assert "mist" not in found.best("one model")
    assert {found.front_of("mist", plane) for plane in found.planes} == {SAME}
    assert SAME not in {found.front_of("prompt", plane) for plane in found.planes}


def test_a_method_farther_than_the_baseline_is_not_called_indistinguishable_from_it():
    results = [placed(label, distance=distance) for label, distance in {"base": 0.6, "worse": 0.8}.items()]
    found = ranking_of(board_rows(results, {"base": (1, 1, "A"), "worse": (2, 2, "B")}))
    assert (found.closer, found.farther) == (set(), {"worse"})
    assert {found.front_of("worse", plane) for plane in found.planes} == {FARTHER}
    assert (found.not_closer("base"), found.best("one model")) == ("", [])


def test_the_latest_version_of_a_suite_comes_first():
    rows = []
    for version in ("1", "10", "2"):
        base = placed("base", distance=0.6)
        spec = base.spec.model_copy(update={"suite_version": version})
        rows += board_rows([base.model_copy(update={"spec": spec})], {"base": (1, 1, "A")})
    assert [found.result.spec.suite_version for found in rankings(rows)] == ["10", "2", "1"]


def a_fit(number, distance, band="ranked"):
    return FitRow(label=f"mist:fit={number}", entry=f"fit-{number}", distance=distance, band=band)


def test_a_row_says_how_often_the_method_was_fitted():
    base, mist, *_ = some_rows()
    assert (fits_text(base), fits_text(mist)) == ("no fit", "1 fit")
    fits = [a_fit(1, 0.22), a_fit(2, 0.2), a_fit(3, 0.31, "not proven")]
    several = mist.model_copy(update={"fits": fits, "published": fits[0]})
    assert fits_text(several) == "3 fits: 0.200 to 0.310"
    assert [fit.entry for fit in other_bands(several)] == ["fit-3"]


def test_equal_interventions_of_all_seeds_mean_a_deterministic_method():
    mist = some_rows()[1]
    card = mist.result.spec.method
    texts = []
    for others in ([card.intervention] * 2, [card.intervention, "cd" * 32]):
        spec = mist.result.spec.model_copy(update={"method": card.model_copy(update={"other_fits": others})})
        result = mist.result.model_copy(update={"spec": spec})
        texts.append(fits_text(mist.model_copy(update={"result": result})))
    assert texts == ["one fit: deterministic", "1 fit"]
