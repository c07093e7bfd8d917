"""What an installation brings: no package that nothing uses, none whose licence asks more than a notice."""

import importlib.util
import re
import sys

import pytest
from helpers.paths import ROOT

SPEC = importlib.util.spec_from_file_location("dependencies", ROOT / ".ci" / "dependencies.py")
dependencies = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = dependencies  # dataclasses look their module up
SPEC.loader.exec_module(dependencies)

ROOMS = ("bench", "methods", "metrics", "reports")

IMPORTED_AS = {
    "open-clip-torch": "open_clip",
    "pillow": "PIL",
    "scikit-learn": "sklearn",
    "vl-convert-python": "vl_convert",
}
"""Packages whose modules have other names."""


def direct(extra=""):
    return {dependencies.plain(each.name) for each in dependencies.declared(extra)}


def test_no_package_of_the_core_is_copyleft_or_without_a_licence():
    found = {row.name: row.licence for row in dependencies.packages(dependencies.declared()).values()}
    assert {"numpy", "torch", "markupsafe"} <= found.keys(), "direct and transitive"
    assert {name: text for name, text in found.items() if dependencies.COPYLEFT.search(text)} == {}
    assert [name for name, text in found.items() if text == dependencies.UNKNOWN] == []


@pytest.mark.parametrize(
    "licence", ["GPL-3.0-or-later", "GNU General Public License v2 (GPLv2)", "LGPL-2.1", "AGPL-3.0"]
)
def test_a_copyleft_package_is_marked(licence):
    rows = {"rug": dependencies.Package("rug", licence, {"bench"})}
    assert "| rug | " + licence + " (**copyleft**) | needed by bench |" in dependencies.table(rows, [])


@pytest.mark.parametrize("extra", ["", *dependencies.EXTRAS])
def test_the_page_says_what_every_direct_dependency_is_for(extra):
    text = dependencies.PAGE.read_text(encoding="utf-8")
    for name in direct(extra):
        row = rf"^\| {re.escape(name)} \| .+ \| {re.escape(dependencies.PURPOSES[name])} \|$"
        assert re.search(row, text, re.MULTILINE), name


def test_every_dependency_of_the_core_is_imported_by_it():
    pattern = re.compile(r"^\s*(?:from|import) (\w+)", re.MULTILINE)
    sources = (path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    imported = {name for path in sources for name in pattern.findall(path.read_text(encoding="utf-8"))}
    used = {IMPORTED_AS.get(name, name.replace("-", "_")) for name in direct()}
    assert used - imported == set()
