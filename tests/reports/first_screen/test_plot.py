"""The chart of the first screen: the distance of every method, the baseline and the chance level."""

from helpers.readings import a_reading
from helpers.report import JOINT, NAN, an_estimate

from evenhand.bench.results.lookup import Key
from evenhand.reports.first_screen.plot import distance_plot

KEY = Key("rms_delta", JOINT, "panel", False)


def reading(label, value, **changes):
    return a_reading(label, an_estimate("rms_delta", value, attributes=JOINT, **changes))


def test_title_is_the_finding_and_the_text_alternative_has_every_value():
    plot = distance_plot([reading("base", 0.6), reading("mist", 0.3)], KEY)
    assert plot.title == "Distance over gender × skin tone × age: 0.60 for the baseline, 0.30 with mist"
    assert 'aria-label="Distance from the target: base 0.600, mist 0.300"' in str(plot.image)


def test_without_a_finite_number_there_is_no_chart():
    assert distance_plot([a_reading("base")], KEY) is None
    assert distance_plot([reading("base", NAN, low=NAN, high=NAN)], KEY) is None


def test_method_that_was_not_measured_has_no_dot():
    plot = distance_plot([reading("base", 0.6), a_reading("mist"), reading("uce", 0.4)], KEY)
    assert "mist" not in str(plot.image) and "uce" in str(plot.image)


def test_legend_has_only_the_marks_that_are_drawn():
    alone = distance_plot([reading("base", 0.6)], KEY)
    assert alone.legend == [("full", "model, 95% interval")]
    several = distance_plot([reading("base", 0.6), reading("mist", 0.3, floor=0.2)], KEY)
    assert [mark for mark, _ in several.legend] == ["baseline", "full", "chance"]
    assert dict(several.legend)["full"] == "method, 95% interval"
