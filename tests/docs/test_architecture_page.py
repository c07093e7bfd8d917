"""The architecture page: its paths exist, it names every room, and its rules are those of the project."""

import re
import tomllib

from helpers.paths import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = ("bench", "methods", "metrics", "reports")
TOP_LEVEL = (*PACKAGES, "tests", "docs")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
QUESTIONS = (
    "Where is the default judge panel?",
    "What happens between run and report?",
    "How do I add a metric?",
    "Where is the report's first sentence?",
    "Where is MIST's step?",
    "Which files are methods?",
    "Where is an image key computed?",
    "How does an audit differ from a run?",
    "What does `board verify` do?",
    "Which tests protect the correction?",
    "Where is a CLI option parsed?",
    "How do I add a prompt set?",
)


def in_backticks(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", FENCE.sub("", text))


def is_path(text: str) -> bool:
    """Whether inline code is a path, rather than a command, a key or a dotted name."""
    named = text.partition("/")[0] in TOP_LEVEL or text.endswith((".py", ".md", ".toml"))
    return named and text != "_name.py"


def paths(text: str) -> list[str]:
    return [code for code in in_backticks(text) if is_path(code)]


def path_of(module: str) -> str:
    """The path of an ``evenhand.…`` module: its folder, or its file."""
    path = module.removeprefix("evenhand.").replace(".", "/")
    return path if (ROOT / path).is_dir() else f"{path}.py"


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rooms() -> set[str]:
    found = (path.parent for package in PACKAGES for path in (ROOT / package).rglob("__init__.py"))
    return {folder.relative_to(ROOT).as_posix() for folder in found}


def test_every_path_in_backticks_exists():
    assert len(paths(PAGE)) > 100
    assert [path for path in paths(PAGE) if not (ROOT / path).exists()] == []


def test_every_folder_in_the_diagram_exists():
    (diagram,) = FENCE.findall(PAGE)
    folders = re.findall(rf"\b(?:{'|'.join(PACKAGES)})/\w+", diagram)
    assert len(folders) > 10
    assert [folder for folder in folders if not (ROOT / folder).is_dir()] == []


def test_every_room_is_named():
    assert rooms() - set(paths(PAGE)) == set()


def test_every_folder_of_tests_is_named():
    folders = {f"tests/{path.name}" for path in (ROOT / "tests").iterdir() if any(path.glob("[!_.]*"))}
    assert folders - set(paths(section("Rooms of `tests`"))) == set()


def test_the_layers_of_bench_are_those_of_the_import_contract():
    contract = PROJECT["tool"]["importlinter"]["contracts"][0]
    layers = [[path_of(module.strip()) for module in layer.split("|")] for layer in contract["layers"]]
    lines = re.findall(r"^ +\d+\. (.+)$", section("Import rules"), re.MULTILINE)
    assert [in_backticks(line) for line in lines] == layers


def test_the_table_has_twenty_rows_with_a_path_each():
    rows = section("To change X, go to Y").strip().splitlines()[2:]
    assert len(rows) >= 20
    assert [row for row in rows if not paths(row)] == []


def test_all_twelve_questions_are_answered_with_paths():
    answers = re.findall(
        r"^\d+\. \*\*(.+?)\*\*((?:.|\n(?!\d+\.))*)", section("Twelve questions"), re.MULTILINE
    )
    assert tuple(question for question, _ in answers) == QUESTIONS
    assert [question for question, answer in answers if not paths(answer)] == []


def test_the_public_modules_of_the_families_are_exactly_the_registered_methods():
    public = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "methods").glob("*/*.py")
        if not path.name.startswith("_") and path.parent.name != "shared"
    }
    entry_points = PROJECT["project"]["entry-points"]["evenhand.methods"].values()
    registered = {path_of(value.partition(":")[0]) for value in entry_points}
    assert public | {"methods/baseline.py"} == registered
