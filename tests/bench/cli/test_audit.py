"""``evenhand audit``: output and errors."""

import json
import shutil
from pathlib import Path

import pytest
from helpers.paths import TINY

pytestmark = pytest.mark.slow


def test_the_command_prints_the_table_the_report_and_the_notes(evenhand, world, audited, tmp_path):
    images, prompts, _ = world
    folder = shutil.copytree(audited.folder, tmp_path / "run")
    options = ("--prompts", prompts, "--suite", TINY, "--base", "biased", "--out", folder)
    outcome = evenhand("audit", images, *options)
    assert outcome.code == 0
    rows = [line for line in outcome.out.splitlines() if line.startswith(("biased  ", "even  "))]
    assert len(rows) == 2
    assert outcome.out.splitlines()[-1] == f"report: {folder / 'report.html'}"
    assert "note: the images are external" in outcome.err
    document = json.loads(evenhand("audit", images, *options, "--json").out)
    kept = {path.name: path.read_bytes() for path in (Path(audited.folder) / "results").glob("*.json")}
    assert {path.name: path.read_bytes() for path in (folder / "results").glob("*.json")} == kept
    assert [result["spec"]["model"] for result in document["results"]] == ["biased", "even"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "give --suite NAME, or --judge NAME"),
        (("--suite", TINY, "--judge", "vit"), "give --suite NAME, or --judge NAME"),
        (("--judge", "vitt"), "unknown judge 'vitt'; did you mean 'vit'?"),
        (("--suite", "mini-quik"), "did you mean 'mini-quick'?"),
        (("--suite", TINY, "--base", "bias"), "unknown model of the list for --base: 'bias'"),
        (("--suite", TINY, "--calibration", "none.csv"), "none.csv: calibration cannot be read"),
        (
            ("--suite", TINY, "--anchors", "a.csv", "--calibration", "mini"),
            "--anchors and --calibration cannot be combined",
        ),
    ],
)
def test_an_invalid_option_is_a_one_line_error_and_writes_nothing(
    evenhand, world, tmp_path, monkeypatch, options, words
):
    monkeypatch.chdir(tmp_path)
    outcome = evenhand("audit", world[0], "--prompts", world[1], "--out", "run", *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err.splitlines()[-1]
    assert not (tmp_path / "run" / "audit.toml").exists()


def test_a_missing_folder_or_file_is_an_error(evenhand, world, tmp_path):
    outcome = evenhand("audit", tmp_path / "none", "--prompts", world[1], "--suite", TINY)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert f"{tmp_path / 'none'}: image folder does not exist" in outcome.err
    (tmp_path / "empty").mkdir()
    outcome = evenhand("audit", tmp_path / "empty", "--prompts", world[1], "--suite", TINY)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert (
        "'even/nurse-0.png', 'even/nurse-1.png', 'even/nurse-2.png' and 21 more not found in" in outcome.err
    )
