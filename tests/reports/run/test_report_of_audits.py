"""The report of an audit of external images, which has no protocol, noise, fit or cost."""

import pytest
from helpers.audit_report import an_audit
from helpers.report import JOINT, an_estimate, parsed

from evenhand.bench.report import render_report


@pytest.mark.slow
@pytest.mark.parametrize("labels", [("one",), ("one", "two"), ("base", "two")], ids="+".join)
def test_report_does_not_mention_how_the_images_were_generated(tmp_path, labels):
    page = parsed(render_report(an_audit(tmp_path, *labels)))
    for words in ("same noise", "seeds;", "for fitting", "intervention of", "method is", "Method cards"):
        assert words not in page.text
    ids = {element.attributes.get("id") for element in page.all()}
    assert not ids & {"spent", "cards", "tradeoffs"}
    assert {"tested", "compared", "who-judged", "covered", "limits"} <= ids
    tested = page.by_id("tested").text
    assert "external images of" in tested and "Settings unknown" in tested
    assert "corrected with anchors" in tested, "the source of the correction is near the top"
    assert "The author of the image list states" in page.by_id("limits").text


@pytest.mark.slow
def test_table_of_contents_lists_the_existing_sections(tmp_path):
    page = parsed(render_report(an_audit(tmp_path, "one", "two")))
    (nav,) = page.all("nav")
    ids = {element.attributes.get("id") for element in page.all()}
    assert {link.attributes["href"].removeprefix("#") for link in nav.all("a")} <= ids


@pytest.mark.slow
def test_models_without_a_baseline_are_compared_side_by_side(tmp_path):
    page = parsed(render_report(an_audit(tmp_path, "one", "two")))
    verdict, words = page.by_id("verdict").text, page.by_id("numbers").text
    assert "baseline" not in verdict + words
    assert "one depicts perceived gender, skin tone and age most evenly of these models" in verdict
    assert "of pairs of images of one concept" in words and "one shows" in words and "two shows" in words
    assert "Gates" not in page.by_id("compared").text
    assert "models of one group are not distinguishable" in page.by_id("compared").text


@pytest.mark.slow
def test_difference_from_the_named_model_has_its_interval(tmp_path):
    verdict = parsed(render_report(an_audit(tmp_path, "one", "two", against="one"))).by_id("numbers").text
    assert (
        "The paired difference of two from one is 19.2 points of matching pairs (95% interval 16.5 to 22.0)."
        in verdict
    )
    verdict = parsed(render_report(an_audit(tmp_path, "two", "one", against="one"))).by_id("numbers").text
    assert "0.9 points of matching pairs (95% interval −1.8 to 3.7), which is not clearly" in verdict


def test_single_model_is_named(tmp_path):
    run = an_audit(tmp_path, "one")
    even = an_estimate("rms_delta", 0.02, attributes=JOINT, low=0.0, high=0.05)
    for rows, words in (
        (
            run.results[0].estimates,
            "one does not depict perceived gender, skin tone and age evenly.",
        ),
        ([even], "one depicts perceived gender, skin tone and age almost evenly."),
    ):
        result = run.results[0].model_copy(update={"estimates": rows})
        page = parsed(render_report(run.model_copy(update={"results": [result]})))
        assert words in page.by_id("verdict").text
