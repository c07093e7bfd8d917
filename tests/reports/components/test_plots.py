"""Charts for notebooks: what they draw, and what they say where nothing was measured."""

import pytest
from helpers.report import JOINT, NAN, a_result, an_estimate
from helpers.stored_run import CONCEPTS, METHODS, a_stored_run

from evenhand.bench.errors import EvenhandError
from evenhand.reports.components.plots import distance_plot, share_plot


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return a_stored_run(tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("what", ["distance", "shares"])
def test_plot_draws_every_method(run, what):
    drawn = run.plot(what).to_dict()
    points = drawn["data"]["values"]
    assert {point["method"] for point in points} == set(METHODS)
    assert all(point["n"] > 0 for point in points)
    if what == "shares":
        assert {point["line"] for point in points} == set(CONCEPTS)


def test_unknown_plot_names_the_known_ones(run):
    with pytest.raises(EvenhandError, match="unknown plot 'bars'; choose one of 'distance', 'shares'"):
        run.plot("bars")


def only(*estimates):
    """The baseline with these estimates."""
    return [a_result("base").model_copy(update={"estimates": list(estimates)})]


def test_distance_has_a_panel_per_attribute_set_and_leaves_out_what_is_not_finite():
    rows = [
        an_estimate("rms_delta", 0.5, attributes=JOINT),
        an_estimate("rms_delta", 0.3, attributes="tone", low=NAN, high=NAN, floor=0.1),
        an_estimate("rms_delta", NAN, attributes="gender"),
    ]
    joint, tone = distance_plot(only(*rows)).to_dict()["data"]["values"]
    assert (joint["panel"], joint["value"], joint["look"]) == ("gender × skin tone × age", 0.5, "baseline")
    assert (tone["panel"], tone["value"], tone["floor"]) == ("skin tone", 0.3, 0.1)
    assert "low" not in tone and "floor" not in joint


@pytest.mark.parametrize(
    ("plot", "message"),
    [(distance_plot, "measured no distance"), (share_plot, "measured no shares by concept")],
)
def test_run_without_the_number_says_where_the_others_are(plot, message):
    with pytest.raises(EvenhandError, match=rf"{message}.*; see run\.to_dataframe\(\)"):
        plot(only(an_estimate("alignment", 27.0)))
