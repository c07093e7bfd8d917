"""The leaderboard site in a browser: every kind of page, on a phone and a desktop."""

import pytest
from helpers.page_checks import (
    DESKTOP,
    PHONE,
    assert_accessible,
    assert_layout_holds,
    assert_no_requests,
    assert_valid_html,
    open_everything,
    opened,
)
from helpers.site import a_board, a_hostile_board, a_run_of, board_rows, write_site
from helpers.trade_off import placed

from evenhand.bench.results.entry import Entry

pytestmark = pytest.mark.slow

KINDS = ["index.html", "mini-quick-v1/mist.html", "judges/clip-s-1.html", "literature.html"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder, rows = tmp_path_factory.mktemp("site"), a_board()
    images = tmp_path_factory.mktemp("run")
    write_site(folder, rows, runs=[a_run_of(rows, images, labels=["base", "mist"])])
    return folder


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    write_site(folder, a_hostile_board())
    return folder


@pytest.fixture
def index(browser, site):
    with opened(browser, site / "index.html") as page:
        yield page


OLD, LATEST = 1, 0
"""The tables of the two versions of the suite; the latest is first."""


def methods(page, *, table=OLD):
    """The visible methods of a ranking, in order."""
    names = page.locator("table.sortable").nth(table).locator("th .name a:not(.here)")
    return [link.inner_text() for link in names.all() if link.is_visible()]


def head(page, title):
    return page.locator("table.sortable").nth(OLD).get_by_role("columnheader", name=title)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_page_fits_its_window_and_makes_no_requests(browser, site, kind, width):
    with opened(browser, site / kind, width=width) as page:
        open_everything(page)
        assert_layout_holds(page)
        assert_no_requests(page, within=site)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_page_is_accessible(browser, site, kind, scheme):
    with opened(browser, site / kind, width=PHONE) as page:
        page.emulate_media(color_scheme=scheme)
        open_everything(page)
        assert_accessible(page)


def test_html_of_every_page_is_valid(site, hostile):
    assert_valid_html(
        *(path.read_text() for folder in (site, hostile) for path in sorted(folder.rglob("*.html")))
    )


def test_clicking_a_heading_sorts_best_first_then_reverses(index):
    assert methods(index) == ["base", "mist", "uce", "harmful"]
    distance = head(index, "Distance")
    distance.get_by_role("button").click()
    assert distance.get_attribute("aria-sort") == "ascending"
    assert methods(index) == ["base", "mist", "uce", "harmful"]
    distance.get_by_role("button").click()
    assert distance.get_attribute("aria-sort") == "descending"
    assert methods(index) == ["base", "uce", "mist", "harmful"], "the bands stay together"
    fidelity = head(index, "Explicit fidelity")
    fidelity.get_by_role("button").press("Enter")
    assert fidelity.get_attribute("aria-sort") == "descending", "higher is better there"
    assert distance.get_attribute("aria-sort") is None


def test_rows_can_be_filtered_by_name_family_track_and_band(index):
    ranking = index.locator(".ranking").nth(OLD)
    ranking.get_by_label("Only ranked").check()
    assert methods(index) == ["base", "mist", "uce"], "the baseline is the reference and stays"
    ranking.get_by_label("Family").select_option("weights")
    ranking.get_by_label("Track").select_option("one model")
    assert methods(index) == ["base", "mist", "uce"]
    ranking.get_by_label("Method", exact=True).fill("UC")
    assert methods(index) == ["base", "uce"]
    assert ranking.get_by_role("status").inner_text() == "1 of 3 methods"
    assert methods(index, table=LATEST) == ["base"], "the other suite is not filtered"
    ranking.get_by_label("Method", exact=True).fill("nobody")
    assert methods(index) == ["base"]
    assert not ranking.locator("tbody.track").first.is_visible()


def test_the_address_keeps_search_filter_sort_columns_and_row(browser, index):
    ranking = index.locator(".ranking").nth(OLD)
    ranking.get_by_label("Method", exact=True).fill("i")
    ranking.get_by_label("All columns").check()
    head(index, "Distance").get_by_role("button").first.click()
    head(index, "Distance").get_by_role("button").first.click()
    index.locator("#mini-quick-v1--mist .here").click()
    address = index.url
    assert address.endswith("#mini-quick-v1--mist")
    index.goto("about:blank")
    index.goto(address)
    assert methods(index) == ["base", "mist"]
    again = index.locator(".ranking").nth(OLD)
    assert again.get_by_label("All columns").is_checked()
    assert head(index, "Fits").is_visible()
    assert head(index, "Distance").first.get_attribute("aria-sort") == "descending"


def test_an_address_with_unknown_values_is_ignored(browser, site):
    with opened(browser, site / "index.html") as page:
        page.goto(f"{page.url}?mini-quick-v1.family=none&mini-quick-v1.sort=99.up&other=1#nowhere")
        assert methods(page) == ["base", "mist", "uce", "harmful"]


def test_a_phone_shows_cards_with_the_verdict_first(browser, site):
    with opened(browser, site / "index.html", width=PHONE) as page:
        row = page.locator("#mini-quick-v1--mist")
        verdict, name = row.locator("td").first, row.locator("th")
        assert verdict.bounding_box()["y"] < name.bounding_box()["y"]
        assert not page.locator("table.sortable thead").first.is_visible()
        page.locator(".ranking").nth(OLD).get_by_label("Sort by").select_option("evidence")
        assert methods(page) == ["base", "mist", "uce", "harmful"]


def test_the_heading_stays_while_the_table_scrolls(browser, site):
    with opened(browser, site / "index.html") as page:
        page.locator("#mini-quick-v1--harmful").scroll_into_view_if_needed()
        page.evaluate("document.querySelector('#mini-quick-v1--uce').scrollIntoView()")
        box = head(page, "Verdict").bounding_box()
        assert box["y"] < page.locator("#mini-quick-v1--uce").bounding_box()["y"] and box["y"] >= 0


def test_page_without_scripts_is_complete_and_has_no_controls(browser, site):
    with opened(browser, site / "index.html", scripts=False) as page:
        assert methods(page) == ["base", "mist", "uce", "harmful"]
        assert page.locator("button:visible, input:visible, select:visible").count() == 0


def test_navigation_from_table_to_method_to_judge_and_back(index):
    index.get_by_role("link", name="mist", exact=True).click()
    assert index.get_by_role("heading", level=1).inner_text() == "mist"
    index.locator("#who-judged").get_by_role("link", name="clip-s").click()
    assert index.get_by_role("heading", level=1).inner_text() == "clip-s"
    index.get_by_role("link", name="Leaderboard", exact=True).click()
    assert methods(index) == ["base", "mist", "uce", "harmful"]


def test_entry_can_be_downloaded_from_the_method_page(browser, site):
    with opened(browser, site / "mini-quick-v1/mist.html") as page:
        link = page.get_by_role("link", name="Entry of mist (JSON)", exact=True)
        assert link.get_attribute("download") == "mist@mini-quick-v1.json"
        link.click()
        page.wait_for_url("**/entries/mist@mini-quick-v1/entry.json")
        assert Entry.model_validate_json(page.locator("body").inner_text()).result.spec.method.label == "mist"


def test_hostile_texts_are_shown_and_not_executed(browser, hostile):
    for path in sorted(hostile.rglob("*.html")):
        with opened(browser, path) as page:
            open_everything(page)
            assert page.evaluate("window.hurt === undefined")
            assert_no_requests(page, within=hostile)
            if path.name != "literature.html":
                assert "<script>window.hurt=1</script>" in page.locator("body").inner_text()


def test_injected_script_is_blocked_by_the_policy(browser, site, tmp_path):
    page = (site / "index.html").read_text()
    (tmp_path / "altered.html").write_text(page.replace("</main>", "<script>window.hurt=1</script></main>"))
    with opened(browser, tmp_path / "altered.html") as shown:
        assert shown.evaluate("window.hurt === undefined")
        assert any("Content Security Policy" in line for line in shown.logged)


def test_pages_print(browser, site):
    for kind in KINDS:
        with opened(browser, site / kind) as page:
            assert page.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.parametrize("width", [PHONE, 768, 820, 1100, DESKTOP])
def test_a_method_with_many_parameters_does_not_widen_the_page(browser, tmp_path, width):
    label = "concept-algebra:gamma=1.0,threshold=0.9,towards=cell,until=1.0"
    write_site(tmp_path, board_rows([placed("base", distance=0.6), placed(label, distance=0.1)], {}))
    with opened(browser, tmp_path / "index.html", width=width) as page:
        assert_layout_holds(page)
