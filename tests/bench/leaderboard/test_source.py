"""Where the code of a method comes from: stated by a submission, checked by a verification."""

import hashlib
import json

import pytest
from helpers.report import a_result

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard import source as module
from evenhand.bench.leaderboard.source import check_installed, method_source
from evenhand.bench.registry.method_spec import method_class
from evenhand.bench.results.entry import Entry, MethodSource
from evenhand.methods.source_code import code_digest


def card(name="uce"):
    return a_result(name, concepts=["nurse"]).spec.method


def third_party(monkeypatch):
    """Treat the bundled methods as those of another package."""
    monkeypatch.setattr(module, "is_bundled", lambda cls: False)


def test_source_is_that_of_the_registering_package(tmp_path):
    found = method_source(card(), fit=tmp_path)
    assert (found.package, found.digest) == ("evenhand", code_digest(method_class("uce")))


def test_method_that_no_package_registers_is_refused(tmp_path):
    with pytest.raises(EvenhandError, match="'mine' is not registered by an installed package"):
        method_source(card("mine"), fit=tmp_path)


def test_code_that_changed_since_the_run_is_refused(tmp_path, monkeypatch):
    third_party(monkeypatch)
    (tmp_path / "cost.json").write_text(json.dumps({"code": "11" * 32}))
    with pytest.raises(EvenhandError, match="is not that of the run"):
        method_source(card(), fit=tmp_path, address="https://example.org")
    (tmp_path / "cost.json").write_text(json.dumps({"code": code_digest(method_class("uce"))}))
    assert method_source(card(), fit=tmp_path, address="https://example.org").address == "https://example.org"


def test_third_party_method_needs_an_address(tmp_path, monkeypatch):
    third_party(monkeypatch)
    monkeypatch.setattr(module, "_address", lambda dist: "")
    with pytest.raises(EvenhandError, match="give --address"):
        method_source(card(), fit=tmp_path)


class Dist:
    def __init__(self, urls, home=None):
        self.metadata = self
        self._urls, self._home = urls, home

    def get_all(self, name):
        return self._urls if name == "Project-URL" else [self._home] if self._home else None


@pytest.mark.parametrize(
    ("urls", "home", "address"),
    [
        (["Documentation, https://d", "Source, https://s"], None, "https://s"),
        (["homepage, https://h"], "https://old", "https://h"),
        ([], "https://old", "https://old"),
        (None, None, ""),
    ],
)
def test_address_is_read_from_the_metadata(urls, home, address):
    assert module._address(Dist(urls, home)) == address


def test_other_installed_code_is_refused_before_it_runs(monkeypatch):
    third_party(monkeypatch)
    stated = MethodSource(
        package="p", version="2", digest=hashlib.sha256(b"x").hexdigest(), address="https://p"
    )
    entry = Entry(result=a_result("uce", concepts=["nurse"]), source=stated)
    with pytest.raises(EvenhandError, match="install p 2 from https://p"):
        check_installed(entry)
    right = stated.model_copy(update={"digest": code_digest(method_class("uce"))})
    check_installed(entry.model_copy(update={"source": right}))
    check_installed(entry.model_copy(update={"source": None}))
