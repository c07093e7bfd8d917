"""A package with one method is listed, run and reported without a change to this repository."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.paths import TESTS, TINY

METHOD = "ethical-prompt"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the sample package without network access."""
    folder = tmp_path_factory.mktemp("plugin")
    # A copy, because building leaves files in the source folder.
    source = shutil.copytree(TESTS / "plugin_package", folder / "source")
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--quiet", "--target", str(folder / "site")]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(source)], check=True)
    return folder / "site"


def evenhand(*arguments: object, site: Path, cwd: Path) -> str:
    """Standard output of the command line in a separate process that finds the installed sample."""
    paths = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "evenhand.bench.cli.main", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_method_is_listed_with_its_package_and_shown_with_its_parameters(installed, tmp_path):
    cards = json.loads(evenhand("list", "methods", "--json", site=installed, cwd=tmp_path))
    card = next(card for card in cards if card["name"] == METHOD)
    assert card["package"] == "evenhand-sample-method 1.0"
    assert [parameter["name"] for parameter in card["parameters"]] == ["sentence"]
    assert METHOD in evenhand("show", METHOD, site=installed, cwd=tmp_path)


@pytest.mark.slow
def test_the_method_runs_and_is_reported(installed, tmp_path):
    methods = ["--method", "base", "--method", METHOD]
    suite = TINY
    out = evenhand("run", suite, *methods, "--out", "run", "--json", site=installed, cwd=tmp_path)
    results = {result["spec"]["method"]["label"]: result for result in json.loads(out)["results"]}
    assert set(results) == {"base", METHOD}
    assert results[METHOD]["spec"]["method"]["title"] == "Ethical intervention in the prompt"
    assert results[METHOD]["coverage"]["made"] == results[METHOD]["coverage"]["planned"] == 8
    assert METHOD in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_without_the_package_the_method_is_unknown(evenhand):
    outcome = evenhand("show", METHOD)
    assert (outcome.code, outcome.out) == (2, "")
