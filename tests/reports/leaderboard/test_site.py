"""The pages of the leaderboard site: content of the entries, links, escaping, sizes."""

import html
import posixpath
import re
import shlex

import pytest
from helpers.report import a_comparison, parsed
from helpers.site import (
    HOSTILE,
    a_board,
    a_hostile_board,
    a_run_of,
    board_rows,
    entries_of,
    write_site,
)
from helpers.trade_off import placed

from evenhand.bench.errors import EvenhandError
from evenhand.bench.policy.ranking import rankings
from evenhand.reports.leaderboard import literature
from evenhand.reports.leaderboard.site import render_index, render_site
from evenhand.reports.leaderboard.site_map import SiteMap

INDEX, METHOD = 1_000_000, 3_000_000
"""Largest size of a page in bytes."""


@pytest.fixture(scope="module")
def rows():
    return a_board()


@pytest.fixture(scope="module")
def site(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    images = tmp_path_factory.mktemp("run")
    return write_site(folder, rows, runs=[a_run_of(rows, images, labels=["base", "mist"])])


def text_of(page):
    return parsed(page).text


def tables(page):
    """The methods of each ranking on the start page."""
    found = [table for table in parsed(page).all("table") if table.attributes.get("class") == "sortable"]
    return [[link.text for link in table.all("a") if link.text != "#"] for table in found]


@pytest.mark.slow
def test_site_has_a_page_per_method_and_judge_and_one_for_the_literature(site):
    pages = sorted(path for path in site if path.endswith(".html"))
    assert pages == [
        "index.html",
        "judges/clip-s-1.html",
        "judges/clip-xs-1.html",
        "judges/tone-ita-1.html",
        "judges/vit-1.html",
        "literature.html",
        "mini-quick-v1/base.html",
        "mini-quick-v1/harmful.html",
        "mini-quick-v1/mist.html",
        "mini-quick-v1/uce.html",
        "mini-quick-v2/base.html",
    ]


@pytest.mark.slow
def test_site_does_not_depend_on_the_order_of_the_rows(rows):
    few = [row for row in rows if row.result.spec.method.label in ("base", "uce")]
    sites = [render_site(order, entries=entries_of(few)) for order in (few, few[::-1])]
    assert sites[0] == sites[1]


@pytest.mark.slow
def test_links_have_targets_and_only_sources_are_external(site):
    places = {path: {e.attributes.get("id") for e in parsed(page).all()} for path, page in pages_of(site)}
    sources = {protocol.link for protocol in literature.protocols()}
    seen = set()
    for path, page in pages_of(site):
        for element in parsed(page).all("a"):
            link = element.attributes["href"]
            if link.startswith("data:"):
                continue
            if "://" in link:
                assert path == "literature.html" and link in sources
                continue
            target, _, anchor = link.partition("#")
            target = posixpath.normpath(posixpath.join(posixpath.dirname(path), target)) if target else path
            assert target in site, f"{path} links to {link}"
            assert not anchor or anchor in places[target], f"{path} links to {link}"
            seen.add(target)
    assert seen == set(site), "some file is not linked"


def pages_of(site):
    return [(path, page) for path, page in site.items() if path.endswith(".html")]


@pytest.mark.slow
def test_no_page_loads_external_resources(site):
    for path, page in pages_of(site):
        for element in parsed(page).all():
            for name in ("src", "srcset", "poster", "data", "action", "xlink:href"):
                value = element.attributes.get(name, "data:")
                assert value.startswith(("data:", "#")), f"{path}: {element.tag} {name}={value[:60]}"
            if element.tag == "link":
                assert element.attributes["href"] == "data:,"


@pytest.mark.slow
def test_different_versions_are_in_different_tables(site):
    assert tables(site["index.html"]) == [["base"], ["base", "mist", "uce", "harmful"]]
    headings = [heading.text for heading in parsed(site["index.html"]).all("h2")]
    latest_first = ["mini-quick, version 2: mini", "mini-quick, version 1: mini"]
    assert headings[:2] == latest_first


@pytest.mark.slow
def test_suite_names_the_best_methods_and_what_its_rows_share(site):
    page = text_of(site["index.html"])
    assert "Not distinguishable from the best: mist and uce." in page
    assert "3 methods: 2 ranked and 1 harm proven." in page
    assert "about concepts like these, in these sentences" in page
    assert "mini-quick, version 1 (5e5e5e5e5e5e)" in page
    assert "guidance 2.5, solver dpmsolver++, steps 8, version 1, width 64" in page


@pytest.mark.slow
def test_row_shows_verdict_estimates_changes_fronts_evidence_and_gates(site):
    row = row_of(site["index.html"], "mist")
    assert row["Verdict"] == "A (1 to 2)"
    assert row["Distance ↓"] == "0.350 0.33 to 0.37"
    assert row["Same group in pairs ↓"] == "20% 18% to 21% 8% if even"
    assert row["Explicit fidelity ↑"] == "−0.5 −2.5 to 1.5"
    assert row["Explicit fidelity, absolute ↑"] == "94.5% 91.0% to 98.0%"
    assert row["Change of unrelated images ↓"] == "0.020 0.000 to 0.040"
    assert row["Front, fidelity"] == "1st"
    assert (row["Evidence"], row["Gates not passed"]) == ("reported", "none")
    assert (row["U-Net passes of an image ↓"], row["Tuning"]) == ("-", "not tuned")


def row_of(page, label):
    """Heading to text of the cells of a method's first row on the start page."""
    table = next(table for table in parsed(page).all("table") if label in table.text)
    heads = [head.text.replace("\u00a0", " ") for head in table.all("thead")[0].all("th")]
    line = next(row for row in table.all("tr") if row.text.startswith(label))
    return dict(zip(heads, (cell.text for cell in line.children), strict=True))


@pytest.mark.slow
def test_reason_of_a_failed_gate_is_on_both_pages(site, rows):
    failed = next(row for row in rows if row.result.spec.method.label == "harmful")
    (reason,) = failed.failed_gates
    assert reason.startswith("explicit fidelity for gender falls by 30.0 points")
    assert reason in text_of(site["index.html"])
    assert reason[1:] in text_of(site["mini-quick-v1/harmful.html"])
    assert "Harm proven, so not ranked" in text_of(site["mini-quick-v1/harmful.html"])


@pytest.mark.slow
def test_method_page_shows_its_strengths_and_their_entries(site, rows):
    page = parsed(site["mini-quick-v1/mist.html"])
    assert "scale 0.25 to 1" in page.by_id("strengths").text
    offered = [a.attributes["href"] for a in page.all("a") if "entries/" in a.attributes["href"]]
    assert offered == [
        f"../entries/mist{own}@mini-quick-v1/entry.json" for own in ("", "-scale-0.25", "-scale-1.0")
    ]
    entry = next(row.result for row in rows if row.result.spec.method.label == "mist")
    assert site["entries/mist@mini-quick-v1/entry.json"] == entries_of(rows)["mist@mini-quick-v1"]
    assert entry.spec.method.intervention in page.text


@pytest.mark.slow
def test_method_page_gives_the_commands_to_reproduce_it(site):
    commands = [code.text for code in parsed(site["mini-quick-v1/mist.html"]).all("code")]
    assert commands[:3] == [
        "evenhand run mini-quick --method base --method mist --fits 1 --out runs/mini-quick-v1",
        "evenhand board submit runs/mini-quick-v1 --entries my-entries",
        "evenhand board verify reports/entries/mist@mini-quick-v1",
    ]
    assert commands[3].startswith("@software{evenhand,")


@pytest.mark.slow
def test_hostile_names_are_quoted_in_commands():
    site = render_site(a_hostile_board(), entries={})
    page = next(page for path, page in site.items() if "evil" in path)
    arguments = shlex.split(parsed(page).all("code")[0].text)
    assert arguments[1:7] == ["run", HOSTILE, "--method", "base", "--method", f"evil:{HOSTILE}"]


@pytest.mark.slow
def test_images_are_only_on_the_pages_of_methods_of_the_run(site):
    shown = {path for path, page in pages_of(site) if parsed(page).all("img")}
    assert shown == {"mini-quick-v1/base.html", "mini-quick-v1/mist.html"}
    images = parsed(site["mini-quick-v1/mist.html"]).all("img")
    assert all("perceived: " in image.attributes["alt"] for image in images)


@pytest.mark.slow
def test_run_of_another_suite_or_fit_is_refused(rows, tmp_path):
    run = a_run_of(rows, tmp_path, labels=["base", "mist"])
    own = run.results[1]
    other = own.model_copy(update={"spec": own.spec.model_copy(update={"suite_version": "9"})})
    with pytest.raises(EvenhandError, match="has no suite and version that is on the board"):
        render_site(rows, entries={}, runs=[run.model_copy(update={"results": [other]})])
    method = own.spec.method.model_copy(update={"intervention": "cd" * 32})
    refitted = own.model_copy(update={"spec": own.spec.model_copy(update={"method": method})})
    few = [row for row in rows if row.result.spec.method.label in ("base", "mist")]
    with pytest.raises(EvenhandError, match="fitted 'mist' differently from its entry"):
        render_site(few, entries={}, runs=[run.model_copy(update={"results": [refitted]})])


@pytest.mark.slow
def test_judge_page_shows_its_role_and_errors(site):
    page = text_of(site["judges/clip-s-1.html"])
    assert "Votes in the panel every method" in page
    assert "90.0%" in page and "99.0%" in page
    assert "The errors of this judge were not measured for this suite." in page, "version 2 has no errors"
    steering = text_of(site["judges/clip-xs-1.html"])
    assert "Steers the method and has no vote on its result" in steering


@pytest.mark.slow
def test_published_numbers_are_only_on_their_page(site):
    assert literature.NOT_RANKED in text_of(site["literature.html"])
    reported = {row.method for row in literature.reported()} - {"baseline"}
    assert len(reported) > 10
    for method in ("LAION retrieval", "Concept Algebra"):
        assert method in text_of(site["literature.html"])
        assert method not in text_of(site["index.html"])


@pytest.mark.slow
def test_hostile_texts_are_escaped(tmp_path):
    site = write_site(tmp_path, a_hostile_board())
    for path, page in pages_of(site):
        assert re.fullmatch(r"[a-z0-9./-]+", path) and ".." not in path
        assert not parsed(page).all("img")
        assert len(parsed(page).all("script")) == 1
    assert html.escape("<script>window.hurt=1</script>") in site["index.html"]


@pytest.mark.slow
def test_pages_are_within_their_sizes(site):
    results = [placed(f"method-{place}", distance=0.3 + place / 100) for place in range(24)]
    found = rankings(board_rows([placed("base", distance=0.6), *results], {}))
    assert len(render_index(found, SiteMap.of(found)).encode()) < INDEX
    assert all(len(page.encode()) < METHOD for _, page in pages_of(site))


def test_leaderboard_without_entries_says_so():
    site = render_site([], entries={})
    assert set(site) == {"index.html", "literature.html"}
    assert "No entries yet." in text_of(site["index.html"])


@pytest.mark.slow
def test_method_not_distinguishable_from_the_baseline_is_on_no_front():
    still = placed("still", distance=0.6).model_copy(update={"comparisons": [a_comparison(0.0)]})
    rows = board_rows([placed("base", distance=0.6), still], {"base": (1, 2, "A"), "still": (1, 2, "A")})
    site = render_site(rows, entries={})
    assert row_of(site["index.html"], "still")["Front, fidelity"] == "not distinguishable from the baseline"
    page = parsed(site["mini-quick-v1/still.html"])
    assert page.by_id("position").all("h3")[0].text == "still is not distinguishable from the baseline"
    assert "It is not distinguishable from the baseline." in page.text
    assert "No ranked method is shown to be closer to the target than the baseline." in text_of(
        site["index.html"]
    )
