"""The documentation is correct: its commands exist, its code matches the API, every method has a card."""

import ast
import importlib
import inspect
import re
import shlex
from pathlib import Path

import pytest
import typer
from helpers.paths import ROOT
from rich.text import Text

from evenhand.bench import catalog
from evenhand.bench.cli.main import app
from evenhand.bench.registry.entry_points import METHODS

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
ONLINE = ("--online", "--offline")
COMMANDS = {
    ("run",): {
        *("--method", "--out", "--limit", "--fits", "--until-decided", "--engine", "--workers", "--dry-run"),
        *("--model", "--set", "--open", *ONLINE, "--json"),
    },
    ("report",): {
        *("--open", "--title-block", "--pdf", "--manifest", "--sign-with", "--verify", "--public-key"),
    },
    ("list",): {"--json"},
    ("show",): {"--json"},
    ("board", "check"): {"--entries", "--maintainers"},
    ("board", "diff"): {"--entries", "--maintainers"},
    ("board", "remeasure"): {"--entries"},
    ("board", "submit"): {"--entries", "--address"},
    ("board", "build"): {"--entries", "--out", "--excerpt", "--check", "--site", "--run", "--maintainers"},
    ("board", "commit"): {"--salt", "--holdout-judge"},
    ("board", "verify"): {
        *("--images", "--seed", "--run", "--intervention", "--fresh", "--salt", "--holdout-judge", "--work"),
        *ONLINE,
    },
    ("board", "sign"): {"--key"},
    ("method", "export"): {"--run", "--suite", "--model", "--out", "--format", "--error", *ONLINE},
    ("audit",): {
        *(
            "--prompts",
            "--suite",
            "--judge",
            "--attribute",
            "--anchors",
            "--calibration",
            "--base",
            "--name",
            "--out",
        ),
        *("--open", "--title-block", "--engine", "--workers", "--json", *ONLINE),
    },
    ("annotate", "plan"): {"--method", "--min-per-group", "--per-method", "--seed", "--json"},
    ("annotate", "export"): {
        *("--out", "--n", "--explicit", "--min-per-group", "--per-method", "--method", "--gold", "--seed"),
    },
    ("annotate", "import"): {"--run", "--format", "--rule", "--keep-all", "--json"},
    ("power",): {
        *("--half-width", "--difference", "--cell", "--concepts", "--templates", "--correlation"),
        *("--sensitivity", "--specificity", "--share", "--power", "--json"),
    },
    ("calibrate",): {"--anchors", "--out", "--judge-report", "--json", *ONLINE},
    ("compare",): {"--out", "--json"},
    ("tune",): {"--suite", "--out", "--work", "--workers", *ONLINE, "--json"},
    ("method", "check"): {"--path"},
    ("fetch",): {"--method", "--model", "--set", "--weights", "--dry-run", "--json"},
    ("cache", "push"): {"--run", "--check", *ONLINE, "--json"},
    ("cache", "pull"): {
        *("--method", "--run", "--limit", "--fits", "--until-decided", "--model", "--set", "--check"),
        *(*ONLINE, "--json"),
    },
    ("doctor",): {"--method", "--model", "--set", "--json"},
}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def shown_commands(page: Path) -> list[list[str]]:
    """Every ``evenhand …`` of the page's shell blocks and of its inline code."""
    lines = [
        part.strip() for text in blocks(page, "sh") for line in text.splitlines() for part in line.split("&&")
    ]
    lines += re.findall(r"`(evenhand [^`]+)`", page.read_text())
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("evenhand ")]


def is_command(words: list[str]) -> bool:
    if words[0] in ("COMMAND", "--help"):
        return words[-1] == "--help"
    path = next((path for path in COMMANDS if tuple(words[: len(path)]) == path), None)
    options = {word for word in words if word.startswith("--")}
    return path is not None and options <= COMMANDS[path] | {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_the_documentation_exists(page):
    assert [words for words in shown_commands(page) if not is_command(words)] == []


def test_this_test_knows_every_command():
    def paths(command, path):
        parts = getattr(command, "commands", {})
        return {path} if not parts else set().union(*(paths(parts[name], (*path, name)) for name in parts))

    assert paths(typer.main.get_command(app), ()) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_examples_and_exactly_these_options(evenhand, command):
    outcome = evenhand(*command, "--help")
    assert outcome.code == 0
    head, examples = outcome.out.split("Examples:")
    assert set(re.findall(r"--[a-z-]+", head)) == COMMANDS[command] | {"--help"}
    shown = [shlex.split(line) for line in examples.splitlines() if line.strip()]
    assert shown
    assert all(words[0] == "evenhand" and is_command(words[1:]) for words in shown)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_word_of_a_help_text_is_read_as_markup(command):
    found = typer.main.get_command(app)
    for word in command:
        found = found.commands[word]
    texts = [found.help, *(each.help for each in found.params if getattr(each, "help", None))]
    assert [Text.from_markup(text).plain for text in texts] == texts, "rich leaves out words in brackets"


def test_help_lists_running_auditing_reporting_and_comparing_first(evenhand):
    assert list(typer.main.get_command(app).commands)[:4] == ["run", "audit", "report", "compare"]
    places = [evenhand("--help").out.index(f" {name} ") for name in ("run", "audit", "report", "compare")]
    assert places == sorted(places)


def test_the_first_screen_of_the_readme_has_the_two_commands():
    first = (ROOT / "README.md").read_text().splitlines()[:24]
    assert "pip install . && evenhand run" in first
    assert "pip install '.[test]' && pytest" in first


def test_ci_runs_the_test_command_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text()
    pattern = re.search(r'grep -m1 -x "([^"]+)" README\.md', script)
    assert pattern is not None
    found = [line for line in (ROOT / "README.md").read_text().splitlines() if re.fullmatch(pattern[1], line)]
    assert found == ["pip install '.[test]' && pytest"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_in_the_documentation_imports_and_calls_what_exists(page):
    text = page.read_text()
    for code in blocks(page, "python"):
        names: dict[str, object] = {}
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and node.module and f'title="{node.module}.py"' not in text:
                module = importlib.import_module(node.module)
                names |= {alias.name: getattr(module, alias.name) for alias in node.names}
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                keywords = {keyword.arg: None for keyword in node.keywords}
                inspect.signature(names[node.func.id]).bind(*node.args, **keywords)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_are_not_broken(page):
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    assert [t for t in targets if "://" not in t and not (page.parent / t).exists()] == []


@pytest.mark.parametrize("name", METHODS.names())
def test_every_built_in_method_has_a_card_in_the_documentation(name):
    assert (ROOT / "docs" / "methods" / f"{name}.md").is_file()


def test_every_page_is_listed_in_the_index():
    index = (ROOT / "docs" / "index.md").read_text()
    assert [
        page.name
        for page in (ROOT / "docs").glob("*.md")
        if page.name not in (*index.split("("), "index.md") and f"({page.name})" not in index
    ] == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", catalog.LISTINGS)
def test_every_card_has_a_description(kind):
    for card in catalog.cards(kind):
        assert card["name"]
        assert card.get("title") or card["kind"] == "model"
