"""Runs the code blocks of a page in order, in one folder, as a reader would.

- A block with a title, as in `` ```python title="my_judge.py" ``, is written to that file.
- `python` blocks run; `sh` blocks run line by line. `evenhand` runs in this process. `pip install .` installs
  the package that the page has written into a separate environment, in which `evenhand show` must then find
  it. Any other `pip install` must name Evenhand, with extras that its metadata lists.
- A `text` block after either is the expected output. Words must be equal and numbers close, since processors
  differ; a line `...` matches any number of lines.
- `<!-- not run: reason -->` before a block skips it.

`PYTHONPATH=tests python -m helpers.documents PAGE…` writes the current output into the pages.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import invalidate_caches
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

from helpers.paths import ROOT
from markdown_it import MarkdownIt

PAGES = sorted(
    page
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))
    if page.name != "TEMPLATE.md"
)
NOT_RUN = re.compile(r"<!-- not run: (.+) -->")
TITLE = re.compile(r'title="([^"]+)"')
NUMBER = re.compile(r"(-?\d+(?:\.\d+)?)")
SHOW = "import sys; from evenhand.bench.cli.main import main; main(['show', *sys.argv[1:]])"
NEAR = 0.15
"""Largest absolute or relative difference of a number; whole numbers must be equal."""


@dataclass(frozen=True)
class Block:
    """One fenced block of a page.

    Attributes:
        page: The page.
        line: Line of its opening fence, from 1.
        language: First word after the fence.
        title: Name of the file that the block is; empty if it is not a file.
        text: Its content.
        why_not: Why it is not run; empty if it is run.
    """

    page: Path
    line: int
    language: str
    title: str
    text: str
    why_not: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found = []
    tokens = MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8"))
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type == "fence":
            assert token.map is not None
            language, _, rest = token.info.strip().partition(" ")
            title = TITLE.search(rest)
            mark = NOT_RUN.fullmatch(before.content.strip()) if before else None
            found.append(
                Block(
                    page=page,
                    line=token.map[0] + 1,
                    language=language,
                    title=title[1] if title else "",
                    text=token.content,
                    why_not=mark[1] if mark else "",
                )
            )
    return found


@dataclass
class Reader:
    """Follows the instructions of a page.

    Attributes:
        folder: Working folder; files are written here.
        printed: Output of the last code block.
        names: Names that the Python blocks have defined.
    """

    folder: Path
    printed: str = ""
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "page"})

    def read(self, page: Path) -> None:
        """Run all blocks of the page.

        Raises:
            AssertionError: A block fails or prints something else; the message begins with its place.
        """
        for block in blocks(page):
            if not block.why_not:
                self.do(block)

    def do(self, block: Block) -> None:
        """Write, run or compare one block."""
        if block.title:
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            with self._in_folder() as printed:
                exec(compile(block.text, block.place, "exec"), self.names)
            self.printed = printed.getvalue()
        elif block.language == "sh":
            self.printed = "".join(self._command(line, block.place) for line in lines_of(block.text))
        elif block.language == "text":
            check_output(block.text, self.printed, place=block.place)

    def _command(self, line: str, place: str) -> str:
        words = shlex.split(line, comments=True)
        match words:
            case []:
                return ""
            case ["evenhand", "show", name] if self.python.exists():
                line = shlex.join([str(self.python), "-c", SHOW, name])
            case ["evenhand", *arguments]:
                return self._evenhand(arguments, place)
            case ["pip", "install", "."] if (self.folder / "pyproject.toml").exists():
                return self._install()
            case ["pip", "install", *wanted]:
                check_requirements(wanted, place)
                return ""
        done = subprocess.run(line, shell=True, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{place}: {line!r} fails: {done.stderr}"
        return done.stdout

    def _evenhand(self, arguments: list[str], place: str) -> str:
        from evenhand.bench.cli.main import main

        said = io.StringIO()
        with self._in_folder() as printed, contextlib.redirect_stderr(said):
            try:
                main(arguments)
            except SystemExit as stop:
                assert stop.code == 0, f"{place}: {shlex.join(arguments)!r} fails: {said.getvalue()}"
        return printed.getvalue()

    @property
    def python(self) -> Path:
        """The interpreter of the separate environment, which exists once something was installed."""
        return self.folder / "venv" / "bin" / "python"

    def _install(self) -> str:
        home = self.folder / "venv"
        venv.create(home)
        here, own = (sysconfig.get_path("purelib", vars={"base": str(base)}) for base in (sys.prefix, home))
        Path(own, "outer.pth").write_text(f"import site; site.addsitedir({here!r})\n")
        options = ["--no-deps", "--no-index", "--no-build-isolation", "--quiet"]
        command = [sys.executable, "-m", "pip", "--python", str(self.python), "install", *options, "."]
        subprocess.run(command, cwd=self.folder, check=True)
        if own not in sys.path:
            sys.path.insert(0, own)
        invalidate_caches()
        return ""

    @contextlib.contextmanager
    def _in_folder(self) -> Iterator[io.StringIO]:
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(io.StringIO()) as printed:
            yield printed


def lines_of(script: str) -> list[str]:
    """The commands of a shell block."""
    joined = script.replace("\\\n", " ")
    return [part.strip() for line in joined.splitlines() for part in line.split(" && ")]


def check_requirements(wanted: list[str], place: str) -> None:
    """Check that every requirement is Evenhand, with extras that exist.

    Raises:
        AssertionError: A requirement is something else.
    """
    extras = set(metadata("evenhand").get_all("Provides-Extra") or ())
    for word in (word for word in wanted if not word.startswith("-")):
        found = re.fullmatch(r"(?:evenhand|\.)(?:\[([\w,-]+)\])?", word)
        assert found, f"{place}: pip installs {word!r}; only Evenhand may be installed"
        asked = set(found[1].split(",")) if found[1] else set()
        assert asked <= extras, f"{place}: unknown extras {asked - extras}"


def check_output(shown: str, printed: str, *, place: str) -> None:
    """Check the output that the page shows against what was printed.

    Raises:
        AssertionError: Words differ, or numbers differ by more than ``NEAR``.
    """
    left = printed.strip().splitlines()
    chunks = [chunk.splitlines() for chunk in re.split(r"^\.\.\.\n", shown, flags=re.MULTILINE)]
    for number, chunk in enumerate(chunks):
        starts = list(range(len(left) + 1))
        if number == 0:
            starts = starts[:1]
        if number == len(chunks) - 1 and (chunk or number == 0):
            starts = [start for start in starts if start + len(chunk) == len(left)]
        start = next((s for s in starts if same_lines(chunk, left[s : s + len(chunk)])), None)
        wanted = "\n".join(chunk)
        assert start is not None, f"{place}: the page shows\n{wanted}\nbut the output is\n{printed}"
        left = left[start + len(chunk) :]


def same_lines(shown: list[str], printed: list[str]) -> bool:
    """Whether the words are equal and the numbers within ``NEAR``."""
    said, now = (re.split(NUMBER, " ".join(" ".join(lines).split())) for lines in (shown, printed))
    if said[::2] != now[::2]:
        return False
    pairs = zip(said[1::2], now[1::2], strict=True)
    return all(
        abs(float(a) - float(b)) <= NEAR * max(1.0, abs(float(a))) if "." in a + b else a == b
        for a, b in pairs
    )


def update(page: Path) -> None:
    """Replace outdated output on the page by the current output of its commands."""
    lines = page.read_text(encoding="utf-8").splitlines(keepends=True)
    with tempfile.TemporaryDirectory() as folder:
        reader, grown = Reader(Path(folder)), 0
        for block in (block for block in blocks(page) if not block.why_not):
            try:
                reader.do(block)
            except AssertionError:
                if block.language != "text":
                    raise
                first, old = block.line + grown, block.text.count("\n")
                new = reader.printed.strip().splitlines(keepends=True)
                new[-1] = new[-1].rstrip("\n") + "\n"
                lines[first : first + old] = new
                grown += len(new) - old
    page.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        update(Path(argument).resolve())
