"""The table of distances side by side."""

from helpers.report import JOINT, NAN, a_run, an_estimate

from evenhand.bench.results.lookup import Reading, ordered, primary_key
from evenhand.reports.run.distances import distances_table, fits_table

BANDS = {"base": "ranked", "mist": "not proven", "uce": "ranked"}


def table(methods=("base", "mist", "uce"), bands=BANDS):
    readings = [Reading.of(result) for result in a_run(methods=list(methods), concepts=["nurse"]).results]
    key = primary_key(readings)
    return distances_table(ordered(readings, key), key, bands)


def test_row_names_the_worst_attribute_beside_the_joint_distance():
    found = table()
    assert found.columns == [
        "Method",
        "Gates",
        "Same group in pairs",
        "Gender",
        "Skin tone",
        "Age",
        "Gender × skin tone × age (primary)",
        "Worst attribute",
    ]
    base = found.rows[0].cells
    assert [cell.text for cell in base[:3]] == ["base", "baseline", "55%"]
    assert base[2].notes == ("50% to 60%", "8% if even")
    assert [cell.text for cell in base[3:]] == ["0.806", "0.496", "0.434", "0.713", "Gender"]
    assert "corrected for judge error (correction not verified)" in found.about


def test_run_of_one_attribute_names_no_worst_one():
    run = a_run(methods=["base"], concepts=["nurse"])
    rows = [an_estimate("rms_delta", 0.5, attributes="gender")]
    readings = [Reading.of(run.results[0].model_copy(update={"estimates": rows}))]
    found = distances_table(readings, primary_key(readings), {})
    assert found.columns[-1] == "Gender (primary)" and "worst attribute" not in found.about


def test_method_that_is_not_ranked_has_its_band():
    gates = {row.cells[0].text: row.cells[1] for row in table().rows}
    assert (gates["mist"].text, gates["mist"].kind) == ("not proven", "alert")
    assert gates["uce"].text == "all passed"


def test_audit_without_gates_has_no_column_for_them():
    assert table(methods=["base"], bands={}).columns[:2] == ["Method", "Same group in pairs"]


def test_missing_distance_is_not_measured():
    run = a_run(methods=["base"], concepts=["nurse"])
    rows = [
        an_estimate("rms_delta", 0.5, attributes=JOINT),
        an_estimate("rms_delta", NAN, attributes="gender"),
    ]
    readings = [Reading.of(run.results[0].model_copy(update={"estimates": rows}))]
    found = distances_table(readings, primary_key(readings), {})
    assert [cell.text for cell in found.rows[0].cells] == [
        "base",
        "31%",
        "not estimable",
        "0.500",
        "not measured",
    ]


def test_fits_with_other_seeds_stand_side_by_side_with_the_distance_of_each():
    run = a_run(methods=["base", "mist", "uce"], concepts=["nurse"])
    base, mist, uce = run.results
    spec = mist.spec.model_copy(
        update={
            "method": mist.spec.method.model_copy(update={"label": "mist:fit=2", "fit": 2, "fit_of": "mist"})
        }
    )
    second = mist.model_copy(
        update={"spec": spec, "estimates": [an_estimate("rms_delta", 0.5, attributes=JOINT)]}
    )
    every = [Reading.of(result) for result in (second, base, uce, mist)]
    key = primary_key(every)
    found = fits_table(every, key, {"mist": "ranked", "mist:fit=2": "not proven"})
    shown = [[cell.text for cell in row.cells] for row in found.rows]
    own = distances_table([Reading.of(mist)], key, {}).rows[0].cells[-2].text
    assert shown == [["mist", "1", "all passed", own], ["mist", "2", "not proven", "0.500"]]
    assert "the leaderboard publishes the median fit" in found.about
    assert fits_table(every[1:], key, {}) is None
