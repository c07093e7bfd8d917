"""Nothing that other code made is reused for a method."""

import importlib
import sys

import pytest

from evenhand.methods.base import Intervention
from evenhand.methods.source_code import code_digest, is_bundled
from evenhand.methods.weights.mist import Mist


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """Writes a package, imports a module of it again, and returns its class."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    folder = tmp_path / "their_methods"
    folder.mkdir()
    (folder / "__init__.py").touch()

    def again(**modules):
        for name, text in modules.items():
            (folder / f"{name}.py").write_text(text)
        for name in [name for name in sys.modules if name.partition(".")[0] == "their_methods"]:
            monkeypatch.delitem(sys.modules, name)
        importlib.invalidate_caches()
        return importlib.import_module("their_methods.edit").Edit

    return again


EDIT = "from evenhand.methods.base import Intervention\nclass Edit(Intervention):\n    scale = 1\n"


def test_the_same_code_has_the_same_digest(imported):
    assert code_digest(imported(edit=EDIT)) == code_digest(imported(edit=EDIT))


def test_a_change_of_the_class_or_of_a_module_beside_it_changes_the_digest(imported):
    first = code_digest(imported(edit=EDIT, helper="x = 1\n"))
    assert code_digest(imported(edit=EDIT, helper="x = 2\n")) != first
    assert code_digest(imported(edit=EDIT.replace("= 1", "= 2"), helper="x = 1\n")) != first


def test_edited_code_is_another_intervention(imported):
    first = imported(edit=EDIT)(data={"a": 1}).digest()
    assert imported(edit=EDIT)(data={"a": 1}).digest() == first
    assert imported(edit=EDIT.replace("= 1", "= 2"))(data={"a": 1}).digest() != first


def test_a_class_without_a_file_is_told_apart_by_its_functions():
    def typed(body):
        place = {"__name__": "__main__"}
        exec(f"class Edit:\n    def scale(self, x):\n        return {body}\n", place)
        return place["Edit"]

    assert code_digest(typed("x * 2")) == code_digest(typed("x * 2"))
    assert code_digest(typed("x * 2")) != code_digest(typed("x * 3"))
    assert code_digest(typed("[y for y in x]")) != code_digest(typed("[y + 1 for y in x]"))


def test_bundled_interventions_are_identified_by_what_they_contain():
    assert is_bundled(Intervention) and is_bundled(Mist) and not is_bundled(str)
    assert Intervention().digest() == Intervention(record={"steps": 1}).digest()
