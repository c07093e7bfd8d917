"""Write what this environment consists of, as a CycloneDX bill of materials, and check that it is whole.

python .ci/bill_of_materials.py BOM.json

It reads the installed packages and needs no network. What is known against them it cannot say: for that
there is pip-audit, which asks for the advisories of the day (.github/workflows/security.yml).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Write the bill to the path given, and exit with 1 if a dependency of Evenhand is not in it."""
    path = Path(sys.argv[1])
    options = ["--pyproject", ROOT / "pyproject.toml", "--output-reproducible", "--of", "JSON", "-o", path]
    subprocess.run(
        [sys.executable, "-m", "cyclonedx_py", "environment", *options, sys.executable], check=True
    )
    listed = {plain(part["name"]): part.get("version") for part in json.loads(path.read_text())["components"]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {plain(re.split(r"[<>=\[; ]", text)[0]) for text in project["dependencies"]}
    missing = sorted(name for name in wanted if not listed.get(name))
    if missing:
        sys.exit(f"{path} lacks {', '.join(missing)}; install the package before its bill is written")
    sys.stdout.write(f"{path}: {len(listed)} packages, all {len(wanted)} dependencies among them\n")


def plain(name: str) -> str:
    """The package's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()
