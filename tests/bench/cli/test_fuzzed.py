"""Odd command lines: each gives a result or a one-line error."""

import random
import shutil

import pytest
import typer
from helpers.fuzz import ODD_WORDS
from helpers.paths import TINY
from helpers.tiny import tiny_run

from evenhand.bench.cli.main import app, main

pytestmark = pytest.mark.slow

SAFE_WORDS = [word for word in ODD_WORDS if ".." not in word and not word.startswith("/") and len(word) < 200]
"""Words that, as the name of an output folder, stay in the working directory of the test."""

PER_COMMAND = 30


def commands(command=None, path=()):
    """Every command that is not a group: its path and its parameters."""
    command = command or typer.main.get_command(app)
    parts = getattr(command, "commands", {})
    if not parts:
        yield path, command.params
    for name, part in parts.items():
        yield from commands(part, (*path, name))


COMMANDS = dict(commands())


@pytest.fixture(scope="module")
def finished():
    """A finished run of the tiny suite; every test gets a copy."""
    return tiny_run("base")


@pytest.fixture
def place(tmp_path, monkeypatch, finished):
    """A working directory with a run, a suite, a list of prompts and a damaged file."""
    shutil.copytree(finished, tmp_path / "run")
    shutil.copy(TINY, tmp_path / "suite.toml")
    (tmp_path / "list.csv").write_text("file,prompt,concept\na.png,a photo of a nurse,nurse\n")
    (tmp_path / "damaged.csv").write_bytes(b"\xff\xfe\0,\n")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arguments(parameters, rng):
    """A command line of these parameters: some omitted, some with odd values or in the wrong place."""
    files = ["run", "suite.toml", "list.csv", "damaged.csv", "folder", "nowhere", "new"]
    line = []
    for parameter in parameters:
        if parameter.name == "help":
            continue
        options = [option for option in parameter.opts if option.startswith("-")]
        # Required parameters are mostly present, so that more than the parser is tested.
        if rng.random() < (0.05 if parameter.required else 0.5):
            continue
        value = rng.choice(files) if rng.random() < 0.7 else rng.choice(SAFE_WORDS)
        if not options:
            line.append(value)
        elif getattr(parameter, "is_flag", False):
            line.append(rng.choice(options))
        else:
            line += [rng.choice(options), str(rng.randint(-3, 9)) if rng.random() < 0.3 else value]
    if rng.random() < 0.1:
        line.insert(rng.randrange(len(line) + 1), rng.choice(SAFE_WORDS))
    return line


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_odd_arguments_give_a_result_or_a_one_line_error(path, place, capsys):
    rng = random.Random(" ".join(path))
    codes, tried = set(), set()
    takes_words = any(not getattr(parameter, "is_flag", False) for parameter in COMMANDS[path])
    for _ in range(PER_COMMAND if takes_words else 3):
        line = [*path, *arguments(COMMANDS[path], rng)]
        if path == ("run",):
            line.append("--dry-run")
        if tuple(line) in tried:
            continue
        tried.add(tuple(line))
        with pytest.raises(SystemExit) as stop:
            main(line)
        codes.add(stop.value.code)
        told = capsys.readouterr().err
        assert stop.value.code in (0, 2), f"{line}: {told}"
        if stop.value.code:
            last = told.splitlines()[-1]
            assert last.startswith("evenhand: ") and last.isprintable() and len(last) < 1500, line
    assert 2 in codes or not takes_words
