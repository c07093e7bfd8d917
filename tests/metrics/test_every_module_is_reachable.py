"""No module of ``metrics`` is an orphan: something imports it, registers it, or documents it."""

import ast
import re
import tomllib

import pytest
from helpers.paths import ROOT

PACKAGES = ("bench", "methods", "metrics", "reports")


def name_of(path):
    return ".".join(("evenhand", *path.relative_to(ROOT).with_suffix("").parts))


def imported_by(path):
    """Names of modules, and of what is imported from them, in one source file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.fixture(scope="module")
def importers():
    """Module to the modules that import it."""
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for name in imported_by(path):
                found.setdefault(name, set()).add(name_of(path))
    return found


@pytest.fixture(scope="module")
def registered():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["scripts"], *project["entry-points"].values()]
    return {entry.partition(":")[0] for group in groups for entry in group.values()}


@pytest.fixture(scope="module")
def documented():
    pages = [(ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("metrics.md", "api.md")]
    names = re.findall(r"(?:`|evenhand\.)(metrics(?:\.[a-z_0-9]+)+)", "\n".join(pages))
    return {f"evenhand.{name}" for name in names}


def test_every_module_is_imported_registered_or_documented(importers, registered, documented):
    modules = sorted(name_of(path) for path in (ROOT / "metrics").rglob("*.py") if path.stem != "__init__")
    used = {name for name in modules if importers.get(name, set()) - {name}}
    assert modules and [name for name in modules if name not in used | registered | documented] == []


def test_every_documented_module_and_function_exists(documented):
    for name in documented:
        path = ROOT.joinpath(*name.split(".")[1:])
        assert path.with_suffix(".py").exists() or path.parent.with_suffix(".py").exists(), name
    rows = re.findall(r"^\| [^|]+ \| `(metrics[.\w]+)` \| ([^|]+) \|$", page("metrics.md"), re.MULTILINE)
    assert rows
    for module, functions in rows:
        tree = ast.parse(ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8"))
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert set(re.findall(r"`(\w+)`", functions)) <= defined, module


def page(name):
    return (ROOT / "docs" / name).read_text(encoding="utf-8")
