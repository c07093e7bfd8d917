"""The rules that keep the code readable: who imports whom, what stays light, how long a module is."""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.paths import ROOT

from evenhand import bench

ROOMS = ("bench", "methods", "metrics", "reports")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
TEXTS = sorted(
    path
    for pattern in ("*", ".ci/*", *(f"{folder}/**/*" for folder in (*ROOMS, "tests", "docs")))
    for path in ROOT.glob(pattern)
    if path.is_file() and path.suffix in {".py", ".md", ".toml", ".j2", ".css", ".csv", ".html", ""}
)

MAY_IMPORT = {
    "bench": {"evenhand.bench", "evenhand.methods", "evenhand.metrics", "evenhand.reports"},
    "methods": {"evenhand.methods", "evenhand.bench.errors"},
    "metrics": {"evenhand.metrics", "evenhand.bench.errors"},
    "reports": {
        "evenhand.reports",
        "evenhand.bench.results.entry",
        "evenhand.bench.errors",
        "evenhand.bench.results.result",
        "evenhand.bench.results.comparison",
    },
}

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

HEAVY = ("torch", "diffusers", "transformers", "open_clip", "tensorflow", "pandas", "sklearn")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(path: Path) -> set[str]:
    """Every module of evenhand that the file imports, at whatever depth of the code."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)}:{node.lineno} imports relatively"
            assert node.module is not None
            if node.module.count(".") > 1:
                found.add(node.module)
            else:
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {module for module in found if module.split(".")[0] == "evenhand"}


def within(module: str, allowed: str) -> bool:
    return module == allowed or module.startswith(f"{allowed}.")


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_imports_only_what_its_room_may_know(path):
    allowed = MAY_IMPORT[path.relative_to(ROOT).parts[0]]
    assert {m for m in imported(path) if not any(within(m, a) for a in allowed)} == set()


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_is_short_enough_to_read(path):
    assert len(path.read_text().splitlines()) < 450


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_function_fits_on_a_screen(path):
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, functions):
            first = node.body[1 if ast.get_docstring(node) and len(node.body) > 1 else 0].lineno
            assert node.end_lineno - first < 50, f"{node.name} goes from line {first} to {node.end_lineno}"


@pytest.mark.parametrize(
    "code",
    [
        "import evenhand.bench",
        "import evenhand.bench.registry.entry_points, evenhand.bench.suites.suite, evenhand.bench.results.result",
        "from evenhand.bench.registry.entry_points import METHODS; METHODS.names()",
        "import evenhand.reports.run.report",
        "from evenhand.bench.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass",
        "from evenhand.bench.cli.main import main\ntry: main(['run', '--help'])\nexcept SystemExit: pass",
    ],
    ids=["package", "models", "names", "report", "help", "run help"],
)
def test_light_things_load_nothing_heavy(code):
    # pandas and scikit-learn may come with the report's charts; the network libraries may not.
    heavy = HEAVY if "reports" not in code else HEAVY[:5]
    check = f"{code}\nimport sys\nprint([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


# Spelt so that this file does not match itself.
UNFINISHED = re.compile(r"\b(?:TO[D]O|FIX[M]E|X[X]X|HA[C]K)\b|NotImplemented[E]rror")
FOREIGN = re.compile(
    r"(?:^|[\s\"'=(])/(?:ho[m]e|ro[o]t|wo[r]k|t[m]p/\w)/|sub[a]gent|AI ag[e]nt", re.MULTILINE
)


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_a_text_is_finished_and_names_no_machine(path):
    text = path.read_text(encoding="utf-8")
    assert UNFINISHED.findall(text) == []
    assert FOREIGN.findall(text) == []


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_no_error_is_swallowed(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: bare except"
            silent = all(isinstance(part, ast.Pass | ast.Continue) for part in node.body)
            assert not silent, f"line {node.lineno}: swallowed error"


@pytest.mark.parametrize("name", bench.__all__)
def test_what_the_package_offers_is_documented(name):
    found = getattr(bench, name)
    assert inspect.getdoc(found)
    path = f"{inspect.getmodule(found).__name__}.{found.__qualname__}"
    page = (ROOT / "docs" / "api.md").read_text()
    # A method of a class is documented with its class.
    assert f"::: {path}\n" in page or f"::: {path.rpartition('.')[0]}\n" in page


def public_parts(path: Path) -> Iterator[ast.AST]:
    """The module, and its classes, functions and methods, whose names say that others may use them."""
    module = ast.parse(path.read_text())
    yield module
    for node in module.body:
        if isinstance(node, DEFINITIONS) and not node.name.startswith("_"):
            yield node
            inner = node.body if isinstance(node, ast.ClassDef) else []
            yield from (part for part in inner if isinstance(part, DEFINITIONS) and part.name[0] != "_")


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_every_public_name_says_what_it_is(path):
    silent = [getattr(node, "name", "the module") for node in public_parts(path) if not says_what_it_is(node)]
    assert silent == []


def says_what_it_is(node: ast.AST) -> bool:
    """Whether it has a docstring, or takes over that of what it overrides or stands for."""
    decorators = {ast.unparse(part) for part in getattr(node, "decorator_list", ())}
    return bool(ast.get_docstring(node)) or bool(decorators & {"override", "overload"})
