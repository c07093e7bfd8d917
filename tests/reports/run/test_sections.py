"""Scope, coverage, cards and provenance: complete, and the counts add up."""

import pytest
from helpers.report import JOINT, a_coverage, a_result, a_run, a_spec

from evenhand.bench.results.lookup import Key, Reading
from evenhand.reports.run import sections
from evenhand.reports.run.report_text import EXTERNAL_LIMIT
from evenhand.reports.run.sections import (
    LIMITS,
    LONG,
    coverage_table,
    differences_table,
    facts,
    labels_table,
    limits,
    method_cards,
    notes,
    provenance_tables,
)


def changed(label, **parts):
    return a_result(label).model_copy(update=parts)


def texts(table):
    return [[cell.text for cell in row.cells] for row in table.rows]


def test_key_figures_sum_over_the_methods():
    found = {about: value for value, about in facts([a_result("base"), a_result("mist")], methods=2)}
    assert found["images generated, of 4,400 planned"] == "4,396"
    assert found["judge families in the panel"] == "3"
    assert found["of labels on neutral prompts determined"] == f"{100 * 786 / 800:.1f}%"
    assert found["methods, including the baseline"] == "2"


def test_agreement_is_that_of_the_most_judges_and_not_measured_without_any():
    rows = [row for row in a_result("base").agreement if row.statistic == "krippendorff_alpha"]
    wide = [row.model_copy(update={"value": value}) for row, value in zip(rows, (0.7, 0.9), strict=False)]
    narrow = rows[0].model_copy(update={"judges": "clip-s*vit", "value": 0.1})
    assert facts([changed("base", agreement=[narrow, *wide])], methods=1)[-1][0] == "0.70 to 0.90"
    assert facts([changed("base", agreement=[])], methods=1)[-1][0] == "not measured"


def test_images_planned_are_those_made_and_those_failed_for_each_reason():
    damaged = a_coverage().model_copy(update={"made": 2197, "failed": {"damaged": 3}})
    table = coverage_table([a_result("base"), changed("mist", coverage=damaged)])
    assert table.columns == ["Method", "Planned", "Generated", "Failed: damaged file", "Failed: not finite"]
    assert texts(table) == [["base", "2,200", "2,198", "0", "2"], ["mist", "2,200", "2,197", "3", "0"]]
    for row in table.rows:
        planned, *parts = (cell.raw[""] for cell in row.cells[1:])
        assert planned == sum(parts)


def test_labels_of_the_headline_are_those_of_the_panel_on_neutral_prompts():
    every, shown = (labels_table([a_result("base")], headline=headline) for headline in (False, True))
    assert len(every.rows) == len(a_coverage().rows)
    assert [row[1:4] for row in texts(shown)] == [
        ["panel", name, "neutral prompts"] for name in ("gender", "skin tone", "age")
    ]
    assert shown.columns[-1] == "Undetermined: low confidence"
    for row in every.rows:
        images, *parts = (cell.raw[""] for cell in row.cells[4:])
        assert images == sum(parts)


def test_differences_have_a_column_per_method_subtracted():
    readings = [Reading.of(a_result(label)) for label in ("base", "mist")]
    table = differences_table(readings, Key("rms_delta", JOINT, "panel", True))
    assert table.columns == ["Method", "minus base"]
    assert texts(table) == [["mist", "−0.320"]]
    assert table.about.startswith("row minus column; negative: the row is closer to the target")


def test_even_targets_are_said_in_words_and_others_by_cell():
    assert dict(sections.tested([a_result("base")]))["Target"] == "even shares over 12 cells"
    spec = a_spec("base", primary="gender", target={"woman": 0.25, "man": 0.75})
    assert dict(sections.tested([changed("base", spec=spec)]))["Target"] == "woman 25.0%; man 75.0%"


def test_long_parameter_is_shortened_and_says_where_the_whole_is():
    result = a_result("mist")
    (card,) = method_cards([result])
    assert dict(card.parameters)["step"] == "0.6" and dict(card.record)["rounds"] == "11"
    parameters = {"words": "x" * LONG, "more": "y" * (LONG + 1)}
    method = result.spec.method.model_copy(update={"parameters": parameters})
    spec = result.spec.model_copy(update={"method": method})
    shown = dict(method_cards([changed("mist", spec=spec)])[0].parameters)
    assert shown["words"] == "x" * LONG
    assert shown["more"].startswith("y" * LONG + "… (shortened; the whole is in the result file")


def test_software_names_the_methods_that_used_it_where_it_differs():
    other = a_result("mist").environment.model_copy(update={"device": "cuda"})
    _, software = provenance_tables([a_result("base"), changed("mist", environment=other)])
    found = texts(software)
    assert ["device", "cpu", "base"] in found and ["device", "cuda", "mist"] in found
    assert ["Python", "3.11.9", "all"] in found


@pytest.mark.parametrize("external", [False, True])
def test_intervention_and_model_are_named_only_where_there_are_any(external):
    result = changed("base", spec=a_spec("base", **({"protocol": {}} if external else {})))
    names = [row[0] for row in texts(provenance_tables([result])[0])]
    assert ("intervention of base" in names) == ("model mini" in names) == (not external)
    assert ("images of mini" in names) == external
    assert (limits([result])[0] == EXTERNAL_LIMIT) == external
    assert limits([result])[-len(LIMITS) :] == list(LIMITS)


def test_note_of_several_methods_is_given_once():
    run = a_run(methods=["base", "mist"], concepts=["nurse"])
    assert notes(run) == run.results[0].notes


def test_note_that_holds_for_several_methods_names_them_in_one_line():
    run = a_run(methods=["base", "mist"], concepts=["nurse"])
    said = ["base: too few images", "mist: too few images", "mist: another", "one for all"]
    results = [result.model_copy(update={"notes": said}) for result in run.results]
    found = notes(run.model_copy(update={"results": results}))
    assert found == ["base and mist: too few images", "mist: another", "one for all"]
