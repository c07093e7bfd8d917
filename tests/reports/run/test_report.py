"""The audit report: self-contained, accessible, escaped, complete, and the same for the same run."""

import base64
import csv
import hashlib
import io
import re
import warnings
import zipfile
from itertools import pairwise

import pytest
from helpers.report import (
    BIAS,
    CONCEPTS,
    NAN,
    a_result,
    a_run,
    a_spec,
    an_estimate,
    parsed,
    some_images,
)

from evenhand.bench.errors import EvenhandError
from evenhand.bench.report import render_report, write_report
from evenhand.bench.results.result import ImageRow, Run

FEW = CONCEPTS[:3]
HOSTILE = "<script>alert(1)</script>\"'&"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def page(folder):
    return render_report(a_run(folder, images=some_images(folder)))


@pytest.fixture(scope="module")
def tree(page):
    return parsed(page)


def small_run(**changes) -> Run:
    run = a_run(methods=["base", "mist"], concepts=FEW)
    return run.model_copy(update=changes)


def changed(result, **parts):
    return result.model_copy(update=parts)


@pytest.mark.slow
def test_page_has_no_external_references(page, tree):
    addresses = [
        e.attributes[name] for e in tree.all() for name in ("src", "href", "action") if name in e.attributes
    ]
    assert [a for a in addresses if not a.startswith(("#", "data:"))] == []
    assert re.findall(r"https?:", page) == []
    assert re.findall(r"url\((?!#)", page) == []
    assert re.findall(r"@import", page) == []


@pytest.mark.slow
def test_content_security_policy_allows_inline_style_embedded_images_and_the_one_script_by_its_hash(tree):
    (policy,) = [e for e in tree.all("meta") if "http-equiv" in e.attributes]
    allowed, scripts = policy.attributes["content"].split("; script-src ")
    assert allowed == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    (script,) = tree.all("script")
    digest = base64.b64encode(hashlib.sha256("".join(script.words).encode()).digest()).decode()
    assert scripts == f"'sha256-{digest}'"


@pytest.mark.slow
def test_page_has_no_event_handler(tree):
    assert [e.tag for e in tree.all() for name in e.attributes if name.startswith("on")] == []


@pytest.mark.slow
def test_page_declares_its_language_and_has_ordered_headings(tree):
    assert tree.all("html")[0].attributes["lang"] == "en"
    assert len(tree.all("h1")) == 1
    levels = [int(e.tag[1]) for e in tree.all() if re.fullmatch(r"h[1-6]", e.tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels))


@pytest.mark.slow
def test_internal_links_have_targets_and_ids_are_unique(tree):
    ids = [e.attributes["id"] for e in tree.all() if "id" in e.attributes]
    assert sorted(ids) == sorted(set(ids))
    links = [e.attributes["href"] for e in tree.all("a") if e.attributes["href"].startswith("#")]
    assert links and {link[1:] for link in links} <= set(ids)


@pytest.mark.slow
def test_every_figure_has_title_text_alternative_n_and_data(tree):
    figures = tree.all("figure")
    assert {f.attributes["id"] for f in figures} >= {"overview", "by-concept-gender", "cells", "by-judge"}
    for figure in figures:
        assert figure.all("figcaption")[0].text
        images = [s for s in figure.all("svg") if s.attributes.get("class") == "chart"]
        assert images and all(s.attributes["role"] == "img" and s.attributes["aria-label"] for s in images)
        assert figure.all("details")[0].all("table")
        (caption,) = [p.text for p in figure.all("p") if p.attributes.get("class") == "reading"]
        assert re.search(r"n = [\d,]+", caption)
        assert "95% interval" in caption + figure.all("ul")[0].text


@pytest.mark.slow
def test_every_table_has_a_caption_and_scoped_headers(tree):
    for table in tree.all("table"):
        if table.attributes.get("class") != "images":
            assert table.all("caption")[0].text
        assert all(th.attributes.get("scope") for th in table.all("th"))


@pytest.mark.slow
def test_every_estimate_of_the_method_table_has_an_interval(tree):
    checked = 0
    for body in tree.by_id("methods").all("tbody"):
        if body.all("tr")[0].text.startswith("Cost"):
            continue
        for cell in body.all("td"):
            if cell.attributes["class"] == "number":
                assert re.search(r" to |no interval", cell.text), cell.text
                checked += 1
    assert checked > 40


@pytest.mark.slow
def test_method_table_shows_gates_tie_groups_and_chance_level(tree):
    words = tree.by_id("methods").text
    assert "harm proven over-correction rises by 31.0 points" in words
    assert "2 of 4 group B" in words
    assert "chance level 0.126" in words
    assert "primary measure" in words
    assert words.index("mist") < words.index("random-attribute-prompt"), (
        "methods that are not ranked come last"
    )


@pytest.mark.slow
def test_missing_metric_is_not_measured(tree):
    body = next(b for b in tree.by_id("methods").all("tbody") if "Change of unrelated" in b.text)
    assert [cell.text for cell in body.all("td")] == ["not measured"] * len(BIAS)


@pytest.mark.slow
def test_every_image_shows_perceived_and_undetermined_labels(tree):
    images = tree.by_id("images").all("img")
    assert len(images) == 8 * 3 * len(BIAS)
    for image in images:
        assert image.attributes["src"].startswith("data:image/webp;base64,")
        assert "perceived: gender woman, skin tone undetermined, age older" in image.attributes["alt"]
    captions = {cell.text for cell in tree.by_id("images").all("td")}
    assert captions == {"perceived: gender woman, skin tone undetermined, age older"}
    assert all(any(p.tag == "details" for p in _parents(image)) for image in images)


def _parents(element):
    while element.parent is not None:
        element = element.parent
        yield element


@pytest.mark.slow
def test_a_column_of_images_has_one_prompt_and_seed(tree):
    table = tree.by_id("images").all("table")[0]
    for line in table.all("tbody")[0].all("tr"):
        seeds = [re.search(r"seed (\d)", i.attributes["alt"]).group(1) for i in line.all("img")]
        assert [f"seed {seed}" for seed in seeds] == [th.text for th in table.all("thead")[0].all("th")][1:]


@pytest.mark.slow
def test_page_makes_no_statement_about_race(page):
    said = ("not a race", "Skin tone is not race", "sex, by race/ethnicity and by both together")
    for words in said:
        page = page.replace(words, "")
    assert re.findall(r"\brac(?:e|ial)\b", page) == []


@pytest.mark.slow
def test_page_is_smaller_than_three_megabytes(page):
    assert len(page.encode()) < 3_000_000


@pytest.mark.slow
def test_downloads_are_the_tables_as_csv(tree):
    links = [e for e in tree.all("a") if "download" in e.attributes]
    assert {"methods.csv", "estimates.zip", "cost.csv"} <= {e.attributes["download"] for e in links}
    (methods,) = [e for e in links if e.attributes["download"] == "methods.csv"]
    rows = list(csv.DictReader(io.StringIO(_content(methods))))
    (primary,) = [
        r
        for r in rows
        if r["Measure"].startswith("Distance") and "tone" in r["Measure"] and "age" in r["Measure"]
    ]
    result = a_result("mist")
    row = result.estimate("rms_delta", attributes="gender*tone*age", corrected=True)
    assert float(primary["mist"]) == pytest.approx(row.value, rel=1e-5)
    assert float(primary["mist low"]) == pytest.approx(row.low, rel=1e-5)
    assert int(primary["mist n"]) == row.n


@pytest.mark.slow
def test_download_of_estimates_has_the_rows_of_the_results(tree):
    (link,) = [e for e in tree.all("a") if e.attributes.get("download") == "estimates.zip"]
    rows = list(csv.DictReader(io.StringIO(_content(link))))
    given = [(label, row) for label in BIAS for row in a_result(label).estimates]
    assert len(rows) == len([row for _, row in given if not row.concept or row.judge == "panel"])
    (row,) = [row for label, row in given if (label, row.concept, row.group) == ("mist", "nurse", "woman")]
    (found,) = [r for r in rows if (r["method"], r["concept"], r["group"]) == ("mist", "nurse", "woman")]
    assert float(found["value"]) == pytest.approx(row.value, rel=1e-5)
    assert (found["metric"], found["kind"], found["corrected"], found["n"]) == (
        "share",
        "neutral",
        "false",
        "40",
    )


def _content(link) -> str:
    content = base64.b64decode(link.attributes["href"].split(",", 1)[1])
    if link.attributes["download"].endswith(".csv"):
        return content.decode()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (name,) = archive.namelist()
        return archive.read(name).decode()


@pytest.mark.slow
def test_rendering_is_deterministic():
    assert render_report(small_run()) == render_report(small_run())


@pytest.mark.slow
def test_hostile_texts_are_escaped():
    odd = [HOSTILE, "=HYPERLINK(1)", "مرحبا بالعالم", "👩🏽‍🔬 scientist", "x" * 400]
    result = a_result(HOSTILE, concepts=odd)
    notes = [HOSTILE, "{{ 7 * 7 }}"]
    base = changed(
        a_result("base", concepts=odd), spec=a_spec("base", concepts=odd, model=HOSTILE), notes=notes
    )
    page = render_report(Run(folder=HOSTILE, results=[base, result], timings=[], images=[]))
    tree = parsed(page)
    assert len(tree.all("script")) == page.count("<script") == 1, "that of the page"
    assert HOSTILE in tree.by_id("limits").text and "{{ 7 * 7 }}" in tree.by_id("limits").text
    assert tree.all("h1")[0].text == f"{HOSTILE} on suite mini-quick"
    cells = [
        c
        for e in tree.all("a")
        if e.attributes.get("download", "tables.zip") not in ("tables.zip", "figures.zip")
        for line in csv.reader(io.StringIO(_content(e)))
        for c in line
    ]
    assert "'=HYPERLINK(1)" in cells
    assert [c for c in cells if c.startswith("=")] == []


def test_missing_and_undefined_numbers_are_rendered():
    run = small_run()
    base, mist = run.results
    nothing = [
        an_estimate("rms_delta", NAN, attributes="gender", low=NAN, high=NAN, n=0),
        an_estimate("share", NAN, attributes="gender", group="woman", concept=FEW[0], low=NAN, high=NAN, n=0),
        an_estimate("kl_divergence", float("inf"), attributes="gender", high=float("inf")),
    ]
    bare = [
        changed(r, estimates=nothing, comparisons=[], ranks=[], agreement=[], notes=[]) for r in (base, mist)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tree = parsed(render_report(Run(folder="run", results=bare, timings=[], images=[])))
    words = tree.by_id("methods").text
    assert "not estimable" in words and "not measured" in words and "nan" not in words.lower()
    assert "This run has no images to show." in tree.by_id("images").text
    assert "Agreement of the judges was not measured." in tree.by_id("who-judged").text


def test_run_without_estimates_has_a_report():
    run = small_run()
    empty = [changed(r, estimates=[], comparisons=[], ranks=[], agreement=[]) for r in run.results]
    tree = parsed(render_report(run.model_copy(update={"results": empty})))
    assert "was not measured" in tree.by_id("verdict").text
    assert "None of the measurements of this run has a chart." in tree.by_id("figures").text


@pytest.mark.slow
def test_run_of_the_baseline_alone_has_a_verdict():
    tree = parsed(render_report(a_run(methods=["base"], concepts=FEW)))
    assert "mini does not depict perceived gender, skin tone and age evenly." in tree.by_id("verdict").text
    assert "baseline" not in tree.by_id("figures").text


@pytest.mark.slow
def test_images_of_the_baseline_alone_are_not_compared_with_anything(tmp_path):
    images = some_images(tmp_path, ["base"], FEW)
    text = (
        parsed(render_report(a_run(tmp_path, methods=["base"], concepts=FEW, images=images)))
        .by_id("look")
        .text
    )
    assert text.startswith("Images by prompt")
    assert "baseline" not in text


@pytest.mark.slow
def test_report_does_not_contain_the_path_of_the_run(tmp_path):
    page = render_report(small_run(folder=str(tmp_path), images=some_images(tmp_path, ["base"], FEW)))
    assert str(tmp_path) not in page


@pytest.mark.slow
def test_unreadable_image_is_an_error_that_names_it(tmp_path):
    (tmp_path / "torn.png").write_bytes(b"not an image")
    row = ImageRow(
        path="torn.png", method="base", prompt="p", concept="nurse", kind="neutral", seed_index=0, labels={}
    )
    with pytest.raises(EvenhandError, match=r"torn\.png.*run the suite again"):
        render_report(small_run(folder=str(tmp_path), images=[row]))


def test_run_without_results_is_an_error():
    with pytest.raises(EvenhandError, match="no results to report; run the suite first"):
        render_report(Run(folder="runs/empty", results=[], timings=[], images=[]))


@pytest.mark.slow
def test_unwritable_report_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("evenhand.bench.report.load_run", lambda folder: small_run())
    (tmp_path / "run").write_text("a file where a folder is expected")
    with pytest.raises(EvenhandError, match="cannot write the report"):
        write_report(tmp_path / "run")
