"""The code blocks of README and docs run and print what the pages show."""

import sys
import tomllib

import pytest
from helpers.documents import PAGES, Reader, blocks
from helpers.paths import DATA, ROOT

from evenhand.bench.export import export  # noqa: F401
from evenhand.bench.storage import run_folder  # noqa: F401
from evenhand.bench.suites import suite as suites

# The two modules above keep ``read_suite`` as it is when they are imported: here, before a test replaces it.

QUICK = tomllib.loads((DATA / "quick_parameters.toml").read_text())
CODE = ("python", "sh")
UNCHANGED = ("tutorial.md", "annotate.md")
"""Pages whose runs are small enough to run unchanged, so that their output can be compared."""


def shrunk(suite):
    """The suite with two steps, two small images for two prompts of each set, and methods that fit fast."""
    known = {name: {**given, **QUICK.get(name, {})} for name, given in suite.methods.items()}
    small = {"steps": 2, "batch": 4, "width": 32, "height": 32}
    return suite.model_copy(
        update={
            "protocol": suite.protocol.model_copy(update=small),
            "bootstrap": suite.bootstrap.model_copy(update={"draws": 100}),
            "prompts": tuple(use.model_copy(update={"seeds": 2, "limit": 2}) for use in suite.prompts),
            "methods": known,
            "tuned": {},
            "searches": {},
        }
    )


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """A reader whose installed packages are removed from this process afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield Reader(tmp_path)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def runs(page):
    return any(block.language in CODE and not block.why_not for block in blocks(page))


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if runs(page)], ids=name_of)
def test_code_blocks_run_and_print_what_the_page_shows(page, reader, monkeypatch):
    if page.name not in UNCHANGED:
        read = suites.read_suite
        monkeypatch.setattr(suites, "read_suite", lambda path: shrunk(read(path)))
    reader.read(page)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_skipped_blocks_give_a_reason(page):
    for block in blocks(page):
        if block.why_not:
            assert block.language in CODE, block.place
            assert len(block.why_not.split()) > 2, block.place


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_have_a_known_language(page):
    known = {*CODE, "text", "toml", "yaml", "csv", "json", "tree"}
    assert [block.place for block in blocks(page) if block.language not in known] == []
