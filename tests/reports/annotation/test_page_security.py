"""Every page that Evenhand writes escapes its content and loads nothing from a network."""

import ast
import re

import pytest
from helpers.compare import a_run as evaluated
from helpers.humans import a_run as a_humans_run
from helpers.paths import ROOT
from helpers.report import parsed
from helpers.site import a_board, write_site

from evenhand.bench import compare
from evenhand.bench.annotation.batch import export_images
from evenhand.reports.comparison.report import render_comparison

TEMPLATES = sorted((ROOT / "reports" / "templates").glob("*.j2"))
WHOLE = [path for path in TEMPLATES if "<head>" in path.read_text()]
MODULES = sorted(path for room in ("bench", "reports") for path in (ROOT / room).rglob("*.py"))

OWN = {"style", "script", "asset('export.js')", "_data(form)", "script_json(index)"}
"""What pages embed unescaped: their style and script, and JSON that cannot open or close an element."""


DRAWN = {"charts.py", "interval_bar.py", "inline_code.py"}
"""Modules that write elements around numbers and escaped texts; their own tests try hostile ones."""


def calls(path, name):
    tree = ast.parse(path.read_text())
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == name]


def test_every_template_environment_escapes():
    found = [call for path in MODULES for call in calls(path, "Environment")]
    assert len(found) == 1
    for call in found:
        assert any(part.arg == "autoescape" and ast.unparse(part.value) == "True" for part in call.keywords)


def test_only_style_script_data_and_charts_are_marked_safe():
    for path in MODULES:
        for call in calls(path, "Markup"):
            if path.name not in DRAWN:
                assert ast.unparse(call.args[0]) in OWN, f"{path.name}, line {call.lineno}"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_disables_escaping(path):
    text = path.read_text()
    assert not re.search(r"\|\s*safe\b|autoescape\s+false|\|\s*tojson", text)
    assert not re.search(r"\son\w+\s*=", text), "an event handler that the policy would block"


@pytest.mark.parametrize(
    "path", [path for path in TEMPLATES if "<head>" in path.read_text()], ids=lambda p: p.name
)
def test_security_policy_precedes_what_it_governs(path):
    head = path.read_text().split("<head>")[1]
    before = head[: head.index("Content-Security-Policy")]
    assert not re.search(r"<(?:script|style|link|img|base)\b", before)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """One page of every kind, by name."""
    folder = tmp_path_factory.mktemp("pages")
    run = evaluated("one", "base", "random-attribute-prompt")
    a_humans_run(folder / "run", concepts=("nurse",), methods=("base",))
    export_images(folder / "run", folder / "out", n=20, explicit=0, min_per_group=1)
    site = write_site(folder / "site", a_board())
    return {
        "report": (run / "report.html").read_text(),
        "comparison": render_comparison(compare(f"{run}@base", f"{run}@random-attribute-prompt")),
        "annotation": (folder / "out" / "annotate.html").read_text(),
        **{name: text for name, text in site.items() if name.endswith(".html")},
    }


LOADS = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "link": "href",
    "object": "data",
    "embed": "src",
}


@pytest.mark.slow
def test_every_page_has_a_policy_without_network_and_loads_nothing(pages):
    assert {"report", "comparison", "annotation", "index.html", "literature.html"} <= set(pages)
    for name, text in pages.items():
        page = parsed(text)
        (policy,) = [m.attributes["content"] for m in page.all("meta") if m.attributes.get("http-equiv")]
        directives = dict(part.split(maxsplit=1) for part in policy.split("; ") if part)
        assert directives["default-src"] == "'none'", name
        allowed = set(" ".join(directives.values()).split())
        assert all(
            re.fullmatch(r"'none'|'unsafe-inline'|'sha256-[^']+'|data:|blob:|'self'", w) for w in allowed
        ), name
        assert "'unsafe-inline'" not in directives.get("script-src", ""), name
        for tag, attribute in LOADS.items():
            for element in page.all(tag):
                assert element.attributes.get(attribute, "data:").startswith("data:"), (
                    f"{name}: {element.attributes}"
                )
