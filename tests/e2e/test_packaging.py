"""The installed package contains exactly the package folders, with licence and credits."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points, metadata

import pytest
from helpers.paths import ROOT
from packaging.requirements import Requirement

ROOMS = ("bench", "methods", "metrics", "reports")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


TOP = "evenhand.bench.public"
"""The folder that installs as the package ``evenhand`` itself."""


def packages_in_folders() -> set[str]:
    found = (path.parent for room in ROOMS for path in (ROOT / room).rglob("__init__.py"))
    names = {".".join(("evenhand", *folder.relative_to(ROOT).parts)) for folder in found}
    return names - {TOP} | {"evenhand"}


def test_pyproject_lists_exactly_the_package_folders():
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == packages_in_folders()


def test_every_python_file_is_in_a_package():
    files = (path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    assert [path for path in files if not (path.parent / "__init__.py").is_file()] == []


def test_every_package_has_a_py_typed_marker():
    assert all((ROOT / room / "py.typed").is_file() for room in ROOMS)


def requirements() -> list[Requirement]:
    """All requirements of installation, tests and build, except parts of Evenhand itself."""
    project = PROJECT["project"]
    every = [*project["dependencies"], *PROJECT["build-system"]["requires"]]
    every += [text for extra in project["optional-dependencies"].values() for text in extra]
    return [found for found in map(Requirement, every) if found.name != "evenhand"]


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_every_dependency_has_lower_and_upper_version_bounds(requirement):
    assert {bound.operator for bound in requirement.specifier} == {">=", "<"}


@pytest.mark.slow
def test_the_wheel_contains_every_file_and_every_module_imports_from_it():
    command = [sys.executable, ROOT / ".ci" / "check_wheel.py", "--no-isolation"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_installed_entry_points_match_pyproject():
    declared = {
        (group, name, value)
        for group, entries in PROJECT["project"]["entry-points"].items()
        for name, value in entries.items()
    }
    groups = PROJECT["project"]["entry-points"]
    installed = {
        (group, entry.name, entry.value)
        for group in groups
        for entry in entry_points(group=group)
        if entry.dist and entry.dist.name == "evenhand"
    }
    assert installed == declared


def test_the_licence_is_apache_2_and_emoji_sources_are_credited():
    assert metadata("evenhand")["License-Expression"] == "Apache-2.0"
    licence = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
    notice = (ROOT / "NOTICE").read_text()
    for art, version, terms in (
        ("@iconify-json/noto", "1.2.9", "Apache-2.0"),
        ("@iconify-json/twemoji", "1.2.5", "CC-BY-4.0"),
        ("@iconify-json/fluent-emoji-flat", "1.2.6", "MIT"),
    ):
        credit = notice[notice.index(f"{art} {version}") :].split("\n   - ")[0]
        assert terms in credit


def test_every_test_named_in_the_automation_exists():
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / ".ci").iterdir() if path.is_file()]
    named = {found for text in texts for found in re.findall(r"\btests/[\w/]+\.py\b", text)}
    assert named and sorted(name for name in named if not (ROOT / name).is_file()) == []
