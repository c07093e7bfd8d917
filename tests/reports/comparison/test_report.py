"""The comparison report: accessible, valid, self-contained and small; its verdict follows the intervals."""

import csv
import io
import re
import zipfile
from base64 import b64decode

import pytest
from helpers.compare import a_run
from helpers.page_checks import (
    DESKTOP,
    PHONE,
    REPORT,
    assert_accessible,
    assert_layout_holds,
    assert_no_requests,
    assert_valid_html,
    assert_within,
    open_everything,
    opened,
)
from helpers.report import parsed

from evenhand.bench import compare
from evenhand.bench.comparison.runs import MAX_PAIRS
from evenhand.bench.errors import EvenhandError
from evenhand.reports.comparison.report import render_comparison
from evenhand.reports.components.page import asset
from evenhand.reports.components.page import policy as page_policy

METHOD = "random-attribute-prompt"
HOSTILE = "<script>alert(1)</script>\"'&"


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def one():
    return a_run("one", "base", METHOD)


@pytest.fixture(scope="module")
def single(one):
    """One pair."""
    return compare(f"{one}@base", f"{one}@{METHOD}")


@pytest.fixture(scope="module")
def several(one):
    """Two runs with several pairs."""
    return compare(one, a_run("more", "base", "entigen"))


@pytest.fixture(scope="module", params=["single", "several"])
def page(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "comparison.html"
    path.write_text(render_comparison(request.getfixturevalue(request.param)))
    return path


@pytest.mark.parametrize("width", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_page_fits_its_window_and_makes_no_requests(browser, page, width):
    with opened(browser, page, width=width, scripts=False) as shown:
        open_everything(shown)
        assert_layout_holds(shown)
        assert_no_requests(shown, within=page)


def test_page_is_accessible(browser, page):
    with opened(browser, page, width=PHONE) as shown:
        open_everything(shown)
        assert_accessible(shown)


def test_html_is_valid_with_hostile_names(single, several):
    sides = []
    for side in several.sides:
        spec = side.result.spec.model_copy(update={"model": HOSTILE})
        result = side.result.model_copy(update={"spec": spec})
        sides.append(side.model_copy(update={"run": HOSTILE, "result": result}))
    hostile = several.model_copy(update={"sides": sides, "caveats": [HOSTILE]})
    pages = [render_comparison(each) for each in (single, several, hostile)]
    assert all(page.count("<script") == 1 for page in pages), "that of the page"
    assert_valid_html(*pages)


def test_policy_allows_inline_style_embedded_images_and_the_script_of_the_page(single):
    (policy,) = [e for e in parsed(render_comparison(single)).all("meta") if "http-equiv" in e.attributes]
    assert policy.attributes["content"] == page_policy(asset("export.js"))


def test_page_with_the_maximum_number_of_pairs_is_within_its_size(one):
    comparison = compare(*[one] * 4)
    assert len(comparison.pairs) == MAX_PAIRS
    assert_within(REPORT, render_comparison(comparison))


def test_too_many_pairs_are_refused(evenhand, one, tmp_path):
    outcome = evenhand("compare", *[one] * 5, "--out", tmp_path / "page.html")
    assert outcome.code == 2
    assert outcome.err.endswith(
        "a comparison must have at most 12 pairs, got 20; select methods with RUN@METHOD\n"
    )


def test_downloads_have_every_difference_and_changed_label(several):
    files = downloads(render_comparison(several))
    differences = files["every-difference.csv"]
    assert len(differences) == len(several.differences)
    assert {row["label"] for row in differences} == {pair.label for pair in several.pairs}
    moved = sum(int(row["images"]) for row in files["every-flip.csv"] if not row["concept"])
    assert moved == sum(row.n for row in several.flips if not row.concept)


def test_verdict_names_the_closer_side_only_if_the_interval_excludes_zero(single):
    (headline,) = single.headline
    sentence = next(
        e for e in parsed(render_comparison(single)).all("p") if e.attributes.get("class") == "headline"
    ).text
    assert headline.low <= 0 <= headline.high
    assert "are not distinguishable" in sentence
    narrow = [
        row.model_copy(update={"low": row.value - 0.01, "high": row.value + 0.01})
        for row in single.differences
    ]
    surely = single.model_copy(update={"differences": narrow})
    assert f"{METHOD} is closer to the target shares than base" in render_comparison(surely)


def test_images_of_both_sides_are_in_one_table(several, one):
    strips = [
        e for e in parsed(render_comparison(several)).all("table") if e.attributes.get("class") == "images"
    ]
    assert strips
    labels = [e.text for e in strips[0].all("th") if e.attributes.get("scope") == "row"]
    assert labels == [side.label for side in several.sides]


def test_image_outside_its_run_is_an_error(several, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(next((a_run("one", "base", METHOD) / "images").rglob("*.png")).read_bytes())
    rows = [row.model_copy(update={"path": str(secret)}) for row in several.images]
    with pytest.raises(EvenhandError, match="is outside the run folder"):
        render_comparison(several.model_copy(update={"images": rows}))


def downloads(page):
    """File name to rows of every file that the page holds."""
    found = {}
    for e in parsed(page).all("a"):
        if "download" not in e.attributes:
            continue
        kind, data = re.fullmatch(r"data:([\w/]+)[^,]*;base64,(.*)", e.attributes["href"]).groups()
        raw = b64decode(data)
        if kind == "application/zip":
            archive = zipfile.ZipFile(io.BytesIO(raw))
            raw = archive.read(archive.namelist()[0])
        name = e.attributes["download"].removesuffix(".zip").removesuffix(".csv") + ".csv"
        found[name] = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"))))
    return found
