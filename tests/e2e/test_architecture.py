"""Rules that keep the code readable. Import layers are checked by `lint-imports` (pyproject.toml)."""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from helpers.paths import ROOT, TESTS

from evenhand import bench

PACKAGES = ("bench", "methods", "metrics", "reports")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TEXTS = sorted(
    path
    for pattern in ("*", ".ci/*", *(f"{folder}/**/*" for folder in (*PACKAGES, "tests", "docs")))
    for path in ROOT.glob(pattern)
    if path.is_file() and path.suffix in {".py", ".md", ".toml", ".j2", ".css", ".csv", ".html", ""}
)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (*FUNCTIONS, ast.ClassDef)

LONGEST_MODULE, LONGEST_FUNCTION, LARGEST_ROOM = 400, 50, 15
"""Lines of a module, lines of a function below its docstring, modules of a package besides __init__.py."""

HEAVY = ("torch", "diffusers", "transformers", "open_clip", "tensorflow", "pandas", "sklearn")


SCRIPTS = (
    "bench/benchmarks/architectures.py",
    "bench/benchmarks/editing.py",
    "bench/benchmarks/generation.py",
    "bench/benchmarks/gpu.py",
    "bench/benchmarks/measurement.py",
    "bench/benchmarks/pipelines.py",
    "bench/benchmarks/scale.py",
    "bench/benchmarks/scrolling.py",
    "bench/prompts/builders/build.py",
    "bench/prompts/builders/control_sets.py",
    "bench/prompts/builders/development_set.py",
    "bench/prompts/builders/mini_sets.py",
    "bench/prompts/builders/published_sets.py",
    "bench/prompts/builders/winobias_sets.py",
)
"""Scripts that a developer runs by hand. `tests/bench/benchmarks/test_benchmarks.py` runs the benchmarks on
small models; `tests/bench/prompts/test_bundled.py` compares what the builders write with the files."""


@cache
def trees() -> dict[Path, ast.Module]:
    """Path to parsed module."""
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_modules_are_short_enough_to_read():
    lines = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {module: n for module, n in lines.items() if n > LONGEST_MODULE} == {}


def test_functions_fit_on_a_screen():
    long = [
        f"{name(path)}: {node.name} has {n} lines"
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, FUNCTIONS) and (n := lines_below_the_docstring(node)) > LONGEST_FUNCTION
    ]
    assert long == []


def lines_below_the_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[1 if ast.get_docstring(node) and len(node.body) > 1 else 0].lineno
    return (node.end_lineno or first) - first + 1


def test_packages_hold_few_modules():
    rooms = {path.parent for path in MODULES}
    sizes = {name(room): sum(p.name != "__init__.py" for p in room.glob("*.py")) for room in rooms}
    assert {room: n for room, n in sizes.items() if n > LARGEST_ROOM} == {}


def test_imports_are_absolute():
    relative = [
        f"{name(path)}:{node.lineno}"
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_no_error_is_swallowed():
    swallowed = [
        f"{name(path)}:{node.lineno}"
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or all(isinstance(part, ast.Pass | ast.Continue) for part in node.body))
    ]
    assert swallowed == []


def test_every_public_name_has_a_docstring():
    silent = [
        f"{name(path)}: {getattr(node, 'name', 'the module')}"
        for path, tree in trees().items()
        for node in public_parts(tree)
        if not is_documented(node)
    ]
    assert silent == []


def public_parts(module: ast.Module) -> Iterator[ast.AST]:
    """The module, and its public classes, functions and methods."""
    yield module
    for node in module.body:
        if isinstance(node, DEFINITIONS) and not node.name.startswith("_"):
            yield node
            inner = node.body if isinstance(node, ast.ClassDef) else []
            yield from (part for part in inner if isinstance(part, DEFINITIONS) and part.name[0] != "_")


def is_documented(node: ast.AST) -> bool:
    """Whether it has a docstring, or inherits one because it overrides or overloads."""
    decorators = {ast.unparse(part) for part in getattr(node, "decorator_list", ())}
    return bool(ast.get_docstring(node)) or bool(decorators & {"override", "overload"})


# Written so that this file does not match itself.
UNFINISHED = re.compile(r"\b(?:TO[D]O|FIX[M]E|X[X]X|HA[C]K)\b|NotImplemented[E]rror")
MACHINES = re.compile(
    r"(?:^|[\s\"'=(])/(?:ho[m]e|ro[o]t|wo[r]k|t[m]p/\w)/|sub[a]gent|AI ag[e]nt", re.MULTILINE
)
OUTSIDE = re.compile(r"\b(?:measurement|methods)\.m[d] \d|\bDESI[G]N\b")


@pytest.mark.parametrize(
    "pattern", [UNFINISHED, MACHINES, OUTSIDE], ids=["finished", "no machine", "sources"]
)
def test_texts_have_no_todos_machine_names_or_external_citations(pattern):
    found = {name(path): pattern.findall(path.read_text(encoding="utf-8")) for path in TEXTS}
    assert {path: hits for path, hits in found.items() if hits} == {}


def test_the_public_api_is_documented():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for public in bench.__all__:
        found = getattr(bench, public)
        assert inspect.getdoc(found), public
        path = f"{inspect.getmodule(found).__name__}.{found.__qualname__}"
        # Methods are documented with their class.
        assert f"::: {path}\n" in page or f"::: {path.rpartition('.')[0]}\n" in page, path


def test_tests_mirror_the_packages():
    strays = [
        name(folder)
        for package in PACKAGES
        for folder in {path.parent for path in (TESTS / package).rglob("test_*.py")}
        if not (ROOT / folder.relative_to(TESTS)).is_dir()
    ]
    assert strays == []


def test_the_tests_of_a_module_are_found_from_its_path():
    lacking = {name(path) for path in MODULES if path.stem != "__init__" and not has_tests(path)}
    assert lacking == set(SCRIPTS)


def has_tests(module: Path) -> bool:
    """Whether `bench/room/_name.py` has `tests/bench/room/test_name.py` or `test_name_<aspect>.py` there."""
    room, stem = TESTS / module.relative_to(ROOT).parent, module.stem.lstrip("_")
    return any(room.glob(f"test_{stem}.py")) or any(room.glob(f"test_{stem}_*.py"))


@pytest.mark.parametrize(
    "code",
    [
        "import evenhand.bench",
        "import evenhand.bench.suites.suite, evenhand.bench.results.result",
        "from evenhand.bench.registry.entry_points import METHODS; METHODS.names()",
        "import evenhand.reports.run.report",
        "from evenhand.bench.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass",
        "from evenhand.bench.cli.main import main\ntry: main(['run', '--help'])\nexcept SystemExit: pass",
    ],
    ids=["package", "models", "names", "report", "help", "run help"],
)
def test_light_imports_load_no_heavy_library(code):
    # The charts of the report may import pandas and scikit-learn, but no network library.
    heavy = HEAVY if "reports" not in code else HEAVY[:5]
    check = f"{code}\nimport sys\nprint([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
