"""A user error gives one line and exit code 2, and no finished work is lost."""

import errno
import os
import re
import shutil
from pathlib import Path

import pytest
from helpers.paths import TINY
from helpers.tiny import tiny_run

from evenhand.bench.storage import files, images, tables


def assert_one_line(outcome, *parts, code=2):
    assert outcome.code == code
    assert outcome.out == ""
    assert outcome.err.startswith("evenhand: ")
    assert outcome.err.count("\n") == 1
    for part in parts:
        assert part in outcome.err


@pytest.fixture
def suite(tmp_path):
    """Writes the tiny suite with one piece of text replaced and returns its path."""

    def write(old: str, new: str, name: str = "suite.toml") -> Path:
        text = TINY.read_text()
        assert old in text
        path = tmp_path / name
        path.write_text(text.replace(old, new))
        return path

    return write


def line_of(path: Path, text: str) -> int:
    return next(number for number, line in enumerate(path.read_text().splitlines(), 1) if text in line)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["run", "mini-quik"], ["unknown suite 'mini-quik'", "did you mean 'mini-quick'?"]),
        (["run", TINY, "--method", "misst"], ["unknown method 'misst'", "did you mean 'mist'?"]),
        (
            ["run", TINY, "--method", "mist:step_sizee=1"],
            ["unknown parameter", "'step_sizee'", "did you mean 'step_size'?"],
        ),
        (["run", TINY, "--method", "mist:step_size=big"], ["method 'mist': step_size='big'"]),
        (["run", "nowhere.toml"], ["nowhere.toml", "cannot be read"]),
        (["run", "--limit", "-1"], ["--limit", "see evenhand run --help"]),
        (["run", "--lmit", "3"], ["--lmit", "--limit"]),
        (["rum"], ["'rum'", "'run'"]),
        (["report"], ["RUN", "see evenhand report --help"]),
        (["report", "nowhere"], ["nowhere", "is not a run folder"]),
        (
            ["method", "export", "mist", "--run", "nowhere", "--out", "new"],
            ["nowhere", "is not a run folder"],
        ),
    ],
    ids=lambda value: " ".join(Path(str(word)).name for word in value) if isinstance(value, list) else None,
)
def test_a_wrong_argument_is_a_one_line_error_with_a_suggestion(
    evenhand, tmp_path, monkeypatch, arguments, parts
):
    monkeypatch.chdir(tmp_path)
    assert_one_line(evenhand(*arguments), *parts)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ('"clip-s", "vit"', '"clip-z", "vit"', ["unknown judge 'clip-z'", "did you mean 'clip-s'?"]),
        ('name = "winobias-40"', 'name = "winobias-4"', ["winobias-4'", "did you mean 'winobias-40'?"]),
        ('concepts = ["nurse"', 'concepts = ["nurze"', ["'nurze'", "did you mean 'nurse'?"]),
        ("[methods.uce]", "[methods.mits]", ["'mits'", "did you mean 'mist'?"]),
        ("step_size = 0.6", "step_sizee = 0.6", ["'step_sizee'", "did you mean 'step_size'?"]),
    ],
)
def test_a_wrong_name_in_a_suite_is_a_one_line_error_with_a_suggestion(
    evenhand, tmp_path, suite, old, new, parts
):
    outcome = evenhand("run", suite(old, new), "--method", "mist", "--out", tmp_path / "run")
    assert_one_line(outcome, *parts)
    assert not (tmp_path / "run" / "suite.toml").exists(), "the corrected suite would be rejected"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("steps = 2", "steps = = 2", "steps = ="),
        ("steps = 2", "steps = 0", "steps"),
        ("steps = 2", "steps = 2\nstepz = 2", "stepz"),
        ("draws = 100", "draws = 'many'", "draws"),
    ],
    ids=["not TOML", "out of range", "unknown key", "wrong type"],
)
def test_errors_in_a_malformed_suite_name_file_and_line(evenhand, tmp_path, suite, old, new, text):
    path = suite(old, new)
    outcome = evenhand("run", path, "--out", tmp_path / "run")
    assert_one_line(outcome, str(path))
    assert re.search(rf":{line_of(path, text)}\b", outcome.err)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ("prompt,concept\n", 1),
        ("prompt,concept,template,kind,cell\na nurse,nurse,photo,neutral,\na doctor,doctor\n", 3),
        ("prompt,concept,template,kind,cell\na nurse,nurse,photo,nutral,\n", 2),
    ],
    ids=["header", "too few columns", "unknown kind"],
)
def test_errors_in_a_malformed_prompt_file_name_file_and_line(evenhand, tmp_path, suite, rows, line):
    prompts = tmp_path / "prompts.csv"
    prompts.write_text(rows)
    filters = 'name = "winobias-40"\nseeds = 4\nconcepts = ["nurse", "CEO"]\ntemplates = ["photo"]'
    path = suite(filters, f'name = "{prompts}"\nseeds = 4')
    assert_one_line(evenhand("run", path, "--out", tmp_path / "run"), f"{prompts}:{line}: ")


@pytest.mark.slow
def test_a_model_folder_that_is_not_a_pipeline_is_an_error(evenhand, tmp_path, suite):
    folder = tmp_path / "not-a-model"
    folder.mkdir()
    path = suite('model = "mini"', f'model = "{folder}"')
    outcome = evenhand("run", path, "--out", tmp_path / "run")
    assert_one_line(outcome, str(folder), "is not a diffusers pipeline")
    assert not (tmp_path / "run" / "suite.toml").exists(), "the corrected suite would be rejected"


def test_an_output_folder_that_is_not_a_run_is_not_changed(evenhand, tmp_path):
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / "letter.txt").write_text("dear")
    assert_one_line(evenhand("run", TINY, "--out", folder), str(folder), "choose an empty or new --out")
    assert (folder / "letter.txt").read_text() == "dear"
    assert not (folder / "images").exists()


def test_an_output_path_that_is_a_file_is_an_error(evenhand, tmp_path):
    file = tmp_path / "file"
    file.write_text("dear")
    assert_one_line(evenhand("run", TINY, "--out", file), str(file))
    assert file.read_text() == "dear"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file except those that contain times."""
    clocked = {".lock", "run.log", "timing.json", "report.html", images.INDEX}
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in clocked)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of the tiny suite."""
    return shutil.copytree(tiny_run("base"), tmp_path_factory.mktemp("finished") / "run")


@pytest.mark.slow
def test_a_folder_of_a_different_suite_version_is_rejected_and_not_changed(evenhand, suite, finished):
    before = contents(finished)
    outcome = evenhand("run", suite('version = "1"', 'version = "2"'), "--out", finished)
    assert_one_line(outcome, str(finished), "version 1", "version 2", "choose another --out")
    assert contents(finished) == before


class Stopping:
    """Allows a number of files to be written and then raises."""

    def __init__(self, fault: BaseException, *, after: int) -> None:
        self.fault, self.left, self.write = fault, after, files.write_atomically

    def __call__(self, path: Path, data: bytes) -> None:
        if self.left == 0:
            raise self.fault
        self.left -= 1
        self.write(path, data)


def full_disk(path: str) -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "code", "message"),
    [
        (full_disk("images/image.png"), 2, "disk is full: cannot write images/image.png"),
        (KeyboardInterrupt(), 130, "interrupted; run the same command again to resume"),
    ],
    ids=["full disk", "Ctrl-C"],
)
def test_finished_work_is_kept_and_the_same_command_resumes(
    evenhand, tmp_path, monkeypatch, finished, fault, code, message
):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        stopping = Stopping(fault, after=4)
        for module in (files, images, tables):
            patch.setattr(module, "write_atomically", stopping)
        outcome = evenhand("run", TINY, "--out", run)
    assert outcome.code == code
    assert outcome.out == ""
    assert outcome.err.splitlines()[-1].startswith(f"evenhand: {message}")
    kept = {path: path.stat().st_mtime_ns for path in (run / "images").rglob("*.png")}
    assert kept
    assert evenhand("run", TINY, "--out", run).code == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert contents(run) == contents(finished)
