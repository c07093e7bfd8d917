"""The table at the end of a run: distances side by side, and what the primary one means."""

from helpers.report import NAN, a_run, an_estimate

from evenhand.bench.results.summary import summary


def test_every_attribute_stands_beside_the_joint_distance_and_its_meaning():
    columns, rows = summary(a_run(methods=["base", "mist"], concepts=["nurse"]).results)
    base = dict(zip(columns, rows[0], strict=True))
    assert base["RMSDelta gender, corrected"] == "0.806"
    assert base["RMSDelta skin tone, corrected"] == "0.496"
    assert base["RMSDelta gender × skin tone × age, corrected"] == "0.713 (0.678 to 0.748)"
    assert base["same group in pairs"] == "55% (even: 8%)"


def test_number_that_is_not_measured_has_no_meaning():
    run = a_run(methods=["base"], concepts=["nurse"])
    row = an_estimate("rms_delta", NAN, attributes="gender", low=NAN, high=NAN)
    columns, rows = summary([run.results[0].model_copy(update={"estimates": [row]})])
    assert "same group in pairs" not in columns and rows[0][0] == "base"
