"""What a row says about its method besides measured numbers."""

import pytest
from helpers.losses import a_loss
from helpers.site import a_board

from evenhand.bench.results.entry import FitRow, RankSet
from evenhand.bench.results.result import Search
from evenhand.reports.leaderboard import row_facts as facts

ROWS = {row.label: row for row in reversed(a_board())}


def row(label="uce", **changes):
    return ROWS[label].model_copy(update=changes)


def with_search(search):
    own = row()
    card = own.result.spec.method.model_copy(update={"search": search})
    spec = own.result.spec.model_copy(update={"method": card})
    return row(result=own.result.model_copy(update={"spec": spec}))


def test_verdict_is_the_rank_in_its_track_or_the_one_reason():
    assert facts.verdict(row("base")) == "reference"
    assert facts.verdict(row(track_rank=RankSet(low=1, high=3, tie="A"))) == "A (1 to 3)"
    assert (
        facts.verdict(row(band="not proven", why="fidelity may fall by 9 points"))
        == "fidelity may fall by 9 points"
    )
    assert facts.verdict(row(band="unchecked", why="")) == "unchecked"


def test_tuned_methods_have_their_trials_and_passes():
    search = Search(trials=16, passes=1000, record="ab" * 32)
    assert (facts.tuned(row()), facts.tuned(with_search(search))) == ("not tuned", "tuned, 16 trials")
    assert facts.tuned(row(nothing_to_tune=True)) == "nothing to tune"
    terms = dict(facts.fit_cost(with_search(search)))
    assert (terms["Trials of the tuning"], terms["U-Net passes of the tuning"]) == ("16 trials", "1,000")
    assert dict(facts.fit_cost(row()))["U-Net passes of the tuning"] == "-"


@pytest.mark.parametrize(
    ("share", "short", "long"),
    [
        (None, "", "nothing is trained"),
        (1.0, "trained fully", "of the published length"),
        (0.2, "trained 20%", "cut to 20% of the published length"),
        (0.000479, "trained 0.048%", "cut to 0.048% of the published length"),
    ],
)
def test_length_of_a_training_has_two_significant_digits(share, short, long):
    found = row(share_trained=share)
    assert (facts.trained(found), facts.training(found)) == (short, long)


def test_fits_have_their_range_and_name_those_in_another_band():
    fits = [
        FitRow(label=f"uce:fit={place}", entry=f"e{place}", distance=distance, band=band)
        for place, (distance, band) in enumerate([(0.3, "ranked"), (0.35, "ranked"), (0.4, "not proven")])
    ]
    found = facts.fits(row(fits=fits, published=fits[1]))
    assert found == "3 fits: 0.300 to 0.400; 1 fit in the band “not proven”"


def test_single_fit_says_what_another_would_take():
    result = row().result
    cost = result.cost.model_copy(update={"fit_images": 0, "fit_evaluations": 1500, "images": 90})
    trained = result.model_copy(update={"cost": cost})
    stated = "1,500 U-Net passes to fit, 90 images to measure"
    assert dict(facts.fit_cost(row(result=trained)))["Another fit"] == stated
    fits = [FitRow(label=f"uce:fit={n}", entry=f"e{n}", distance=0.3, band="ranked") for n in (1, 2)]
    free = result.model_copy(update={"cost": cost.model_copy(update={"fit_evaluations": 0})})
    card = trained.spec.method.model_copy(update={"other_fits": [trained.spec.method.intervention]})
    same = trained.model_copy(update={"spec": trained.spec.model_copy(update={"method": card})})
    several = row(result=trained, fits=fits, published=fits[0])
    for other in (row("base"), row(result=free), row(result=same), several):
        assert "Another fit" not in dict(facts.fit_cost(other))


def test_change_has_the_opposite_sign_of_the_loss_and_its_bounds():
    assert facts.change_text(a_loss("explicit fidelity", 0.03, half=0.02)) == "−3.0 points (−5.0 to −1.0)"
    assert facts.change_text(None) == facts.UNKNOWN


def test_family_of_the_baseline_is_no_family():
    assert (facts.family(row("base")), facts.family(row())) == ("baseline", "weights")
    assert facts.passes(row("base")) == "1×"


def test_bands_are_counted_in_the_order_of_the_rows():
    assert facts.bands_text(["ranked", "ranked", "harm proven"]) == "2 ranked and 1 harm proven"


def test_every_track_has_a_title_and_a_meaning():
    assert facts.TRACK_TITLES.keys() == facts.TRACK_TEXTS.keys()
