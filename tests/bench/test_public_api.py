"""What visitors see first: the README image, the citation, and the five lines of Python."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest
import yaml
from helpers.compare import a_run, a_suite
from helpers.paths import ROOT
from PIL import Image

from evenhand.bench import load_method, load_result, load_run
from evenhand.bench.errors import EvenhandError
from evenhand.bench.registry.method_spec import parse_method
from evenhand.methods.base import MethodInfo
from evenhand.methods.weights.mist import Mist

README = (ROOT / "README.md").read_text(encoding="utf-8")
SMALL = 200_000
"""Bytes that the image in the README may take."""


@pytest.fixture(scope="module")
def run():
    return load_run(str(a_run("one", "base", "random-attribute-prompt")))


def test_the_readme_image_is_small_and_has_a_description():
    (line,) = [line for line in README.splitlines() if line.startswith("![")]
    description, _, path = line.removeprefix("![").removesuffix(")").partition("](")
    assert len(description) > 40
    assert (ROOT / path).stat().st_size < SMALL
    with Image.open(ROOT / path) as image:
        assert (image.format, image.size) == ("PNG", (1440, 900))


def test_the_citation_names_this_version_of_this_project():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
    assert cited["authors"] == [{"name": "The Evenhand developers"}]
    assert {"cff-version", "message", "title"} <= set(cited)


@pytest.mark.parametrize(
    "text", ["mist", "mist:rounds=7", "mist:rounds=7,step_size=0.5", 'uce:judge="clip-xs"']
)
def test_a_loaded_method_equals_the_method_parsed_from_its_text(text):
    suite = a_suite("one")
    by_text, by_object = (parse_method(method, suite=suite) for method in (text, load_method(text)))
    assert by_object == by_text


def test_an_unregistered_class_with_a_registered_name_is_rejected():
    class Other(Mist):
        info: ClassVar[MethodInfo] = Mist.info

    with pytest.raises(EvenhandError, match=r"registered for a class other than .*Other"):
        parse_method(Other(), suite=a_suite("one"))


@pytest.mark.slow
def test_printing_a_run_shows_the_table_of_the_command_line(evenhand, run):
    lines = str(run).splitlines()
    assert repr(run) == str(run)
    assert lines[0] == f"run {run.folder}"
    assert lines[1].split()[0] == "method"
    assert {line.split()[0] for line in lines[2:]} == {"base", "random-attribute-prompt"}


@pytest.mark.slow
def test_a_run_returns_the_result_of_a_method_or_suggests_the_nearest(run):
    path = Path(run.folder) / "results" / "base.json"
    assert run.result("base") == load_result(str(path)) == load_result(path)
    assert "rms_delta" in repr(run.result("base"))
    with pytest.raises(EvenhandError, match="did you mean 'base'"):
        run.result("bse")


@pytest.mark.slow
def test_a_data_frame_has_every_estimate_of_every_method(run):
    frame = run.to_dataframe()
    assert list(frame["method"].unique()) == [result.spec.method.label for result in run.results]
    assert len(frame) == sum(len(result.estimates) for result in run.results)
    one = json.loads((Path(run.folder) / "results" / "base.json").read_text())["estimates"][0]
    row = frame[frame["method"] == "base"].iloc[0]
    assert all(row[name] == pytest.approx(one[name], nan_ok=True) for name in ("value", "low", "high", "n"))
    pd.testing.assert_frame_equal(
        frame[frame["method"] == "base"].reset_index(drop=True), run.result("base").to_dataframe()
    )


@pytest.mark.slow
def test_public_names_are_imported_lazily():
    check = (
        "import sys, evenhand.bench as bench\n"
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules\n"
        "assert all(callable(getattr(bench, name)) for name in bench.__all__)\n"
        "import evenhand.bench.comparison.compare\n"
        "assert callable(bench.compare) and set(bench.__all__) <= set(dir(bench))"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
