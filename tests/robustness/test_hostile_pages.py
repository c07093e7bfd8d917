"""Hostile names in every string of a document: on no page does a script run or a request leave."""

import re

import numpy as np
import pytest
from helpers.audit_report import an_audit
from helpers.comparisons import compared, difference, flips
from helpers.fresh import STEERED, a_fresh, a_gap
from helpers.full_report import a_full_run
from helpers.page_checks import open_everything
from helpers.poison import PAYLOAD, poisoned
from helpers.report import JOINT, some_images
from helpers.site import a_board
from helpers.stored_run import a_stored_run
from helpers.tuning import a_record, a_trial
from PIL import Image

from evenhand.bench.report import render_report, write_report
from evenhand.bench.results.entry import MethodSource
from evenhand.bench.results.title_block import Threshold, TitleBlock
from evenhand.reports.annotation.page import Form, Item, Option, Question, write_page
from evenhand.reports.comparison.report import render_comparison
from evenhand.reports.leaderboard.site import render_site
from evenhand.reports.tuning.report import render_tuning

pytestmark = pytest.mark.slow

INJECTION = """() => {
  const script = document.createElement('script'), button = document.createElement('button');
  script.textContent = 'hurt()';
  button.setAttribute('onclick', 'hurt()');
  document.body.append(script, button);
  button.click();
  document.body.insertAdjacentHTML('beforeend', '<img src=https://example.org/x onerror=hurt()>');
}"""
"""What would get past the escaping: a script, a handler, and a request."""

CONCEPTS = ["nurse", "CEO", "cook"]
METHODS = ["base", "mist", "uce"]


def written(folder, **pages):
    for name, text in pages.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return sorted(folder.glob("*.html"))


def run_report(folder):
    images = some_images(folder, METHODS, CONCEPTS)
    run = a_full_run(folder, methods=METHODS, concepts=CONCEPTS, images=images)
    stated = TitleBlock(
        **dict.fromkeys(("client", "purpose", "auditor", "independence", "scope", "intended_use"), PAYLOAD),
        thresholds=[Threshold(metric="rms_delta", attributes="gender", at_most=0.5, why="agreed")],
    )
    hostile = poisoned(run).model_copy(update={"folder": f"{folder}"})
    return written(folder, report=render_report(hostile, title_block=poisoned(stated)))


def audit_report(folder):
    return written(folder, audit=render_report(poisoned(an_audit(folder, "one", "two", against="one"))))


def gallery(folder):
    concepts = tuple(poisoned(name) for name in ("nurse", "CEO"))
    a_stored_run(folder, methods=("base", poisoned("mist")), concepts=concepts)
    write_report(folder)
    return sorted(folder.glob("*.html"))


def comparison(folder):
    rows = [
        difference(label, value, attributes=names)
        for label, value in (("mist", -0.2), ("uce", 0.1))
        for names in (JOINT, "gender")
    ]
    found = compared(*rows, flips=[flips("mist", [[3, 2], [1, 4]])], caveats=["a caveat"])
    return written(folder, comparison=render_comparison(poisoned(found)))


def tuning(folder):
    record = a_record(*(a_trial(number, 0.5 - number / 10) for number in range(3)))
    page = render_tuning(poisoned(record), primary="gender", importances={poisoned("scale"): 1.0})
    return written(folder, tuning=page)


def annotation(folder):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "a.png")
    options = (Option("woman", "woman", key="1"), Option("man", "man", "#aabbcc", "2"))
    form = Form(
        batch="batch",
        version="1",
        columns=("image", "gender"),
        between="|",
        folder=folder,
        items=(Item("id0", folder / "a.png"), Item("id1", folder / "a.png")),
        repeats=(),
        questions=(Question("gender", "Which?", options, help="Look twice."),),
    )
    write_page(poisoned(form), folder / "annotation.html")
    return [folder / "annotation.html"]


def site(folder):
    rows = a_board()
    base = rows[0].result
    source = MethodSource(package="p", version="1", digest="00" * 32, address="https://example.org/<x>")
    fresh = a_fresh(rows[1].result, base, holdout=["held"], gaps=[a_gap(), a_gap(**STEERED)])
    rows = [row.model_copy(update={"fresh": fresh, "source": source}) for row in rows]
    for path, content in render_site(poisoned(rows), entries={}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")
    return sorted(folder.rglob("*.html"))


@pytest.mark.parametrize("make", [run_report, audit_report, gallery, comparison, tuning, annotation, site])
def test_no_script_runs_and_no_request_leaves(browser, tmp_path, make):
    pages = make(tmp_path)
    assert pages
    for path in pages:
        check(browser, path)


def check(browser, path):
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    context.add_init_script("window.hurt = () => { window.wasHurt = true }")
    page = context.new_page()
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda fault: said.append(str(fault)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.goto(path.as_uri())
    open_everything(page)
    own = page.locator('meta[http-equiv="Content-Security-Policy"]').get_attribute("content")
    rules = dict(rule.strip().split(" ", 1) for rule in own.split(";"))
    assert rules["default-src"] == "'none'"
    assert re.fullmatch(
        r"('sha256-[\w+/=]+' ?)+('strict-dynamic')?|'none'", rules.get("script-src", "'none'")
    )
    assert page.locator("hurt").count() == 0 and page.locator('img[src="x"]').count() == 0
    assert page.locator('[href^="javascript:"], [onclick], [onerror]').count() == 0
    assert not any("hurt" in fault or "Refused" in fault for fault in said), said
    # The policy also stops what would get past the escaping.
    with page.expect_event("requestfailed") as failed:
        page.evaluate(INJECTION)
    assert failed.value.failure == "csp" and page.evaluate("window.wasHurt") is None
    asked.remove(failed.value.url)
    assert [url for url in asked if not url.startswith(("data:", "blob:", path.parent.as_uri()))] == []
    context.close()
