"""Build the wheel, install it into a fresh virtual environment and compare it with the folders.

    python .ci/check_wheel.py [--no-isolation]

The new environment borrows the dependencies of the one that runs this, which saves installing them twice.
``--no-isolation`` builds with the setuptools that is installed, without a network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("bench", "methods", "metrics", "reports")
TOP = Path("bench", "public")
"""The folder that installs as the package ``evenhand`` itself."""

SOURCES = (*ROOMS, "pyproject.toml", "README.md", "LICENSE", "NOTICE")
GENERATED = ("__pycache__", "*.pyc", "build", "*.egg-info")

IMPORT_ALL = """
import importlib, sys
from pathlib import Path
for name in sys.argv[2:]:
    module = importlib.import_module(name)
    assert Path(module.__file__).is_relative_to(sys.argv[1]), f"{name} comes from {module.__file__}"
from evenhand.bench.cli.main import main
main(["--version"])
"""


def main() -> None:
    """Run the check; any fault ends the program with a message and a non-zero code."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        wheel = build(scratch, options=sys.argv[1:])
        compare(wheel)
        install_and_import(wheel, scratch / "venv")
    sys.stdout.write(f"{wheel.name}: all modules import, all files are in it\n")


def build(scratch: Path, *, options: list[str]) -> Path:
    """The wheel built from a clean copy of the sources."""
    copy = scratch / "sources"
    copy.mkdir()
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns(*GENERATED))
        else:
            shutil.copy(source, copy / name)
    command = [sys.executable, "-m", "build", "--wheel", *options, "--outdir", str(scratch), str(copy)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        sys.exit(f"the wheel does not build:\n{built.stdout}\n{built.stderr}")
    return next(scratch.glob("*.whl"))


def compare(wheel: Path) -> None:
    """Every file of the four folders is in the wheel, and nothing else is."""
    there = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    here = {installed(path).as_posix() for path in room_files()}
    faults = [f"missing: {name}" for name in sorted(here - there)]
    faults += [f"not in the folders: {name}" for name in sorted(there - here)]
    if faults:
        sys.exit(
            "the wheel differs from the folders; see [tool.setuptools] in pyproject.toml\n"
            + "\n".join(faults)
        )


def room_files() -> list[Path]:
    """The files of the four folders."""
    found = (path for room in ROOMS for path in (ROOT / room).rglob("*"))
    return [path for path in found if path.is_file() and "__pycache__" not in path.parts]


def install_and_import(wheel: Path, environment: Path) -> None:
    """Every module imports from the installed wheel alone."""
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    paths = sysconfig.get_paths(vars={"base": str(environment), "platbase": str(environment)})
    site = Path(paths["purelib"])
    arguments = ["--no-deps", "--no-index", "--quiet", "--target", str(site), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "install", *arguments], check=True)
    (site / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    names = sorted(module_name(path) for path in room_files() if path.suffix == ".py")
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    command = [str(python), "-c", IMPORT_ALL, str(site), *names]
    done = subprocess.run(command, cwd=environment, env=clean, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"the installed wheel does not import:\n{done.stderr}")


def installed(path: Path) -> Path:
    """Where a file of the four folders is in the wheel."""
    place = path.relative_to(ROOT)
    return Path("evenhand", place.relative_to(TOP) if place.is_relative_to(TOP) else place)


def module_name(path: Path) -> str:
    """``bench/mini/law.py`` is ``evenhand.bench.mini.law``."""
    return ".".join(installed(path).with_suffix("").parts).removesuffix(".__init__")


if __name__ == "__main__":
    main()
