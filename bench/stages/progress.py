"""Progress of a long task: a bar with rate and time left on a terminal, quiet lines elsewhere.

What was done also goes to the log, and what the log warns of is told here.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

from evenhand.bench.storage.log import ROOT

_log = logging.getLogger(__name__)

LINE_SECONDS = 60.0
"""Where there is no terminal, a stage that takes longer says how far it is this often."""

WORTH_A_LINE = 1.0
"""Where there is no terminal, a stage without units is told of from this many seconds on."""


class _Rate(ProgressColumn):
    """Units done per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s", style="progress.data.speed")


class _Warnings(logging.Handler):
    """Shows warnings on a console, beside a bar if there is one."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(record.getMessage(), highlight=False, markup=False, soft_wrap=True)


class Progress:
    """Tells how far the stages of a task are, one stage at a time.

    Used as a context manager, it leaves the terminal in order even when the task fails.

    Args:
        console: Where to tell; standard error by default, so that standard output stays clean.
        quiet: Whether to tell nothing.
    """

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        self._console = console or Console(file=sys.stderr, quiet=quiet)
        self._warnings = _Warnings(self._console)
        self._bar: Bar | None = None
        self._label = ""
        self._total = self._done = 0
        self._started = self._told = 0.0

    def __enter__(self) -> Self:
        ROOT.addHandler(self._warnings)
        # A library may give the root logger a handler of its own, which would tell all of it once more.
        ROOT.propagate = self._console.quiet
        return self

    def __exit__(self, *fault: object) -> None:
        ROOT.propagate = True
        ROOT.removeHandler(self._warnings)
        self._close()

    def start(self, label: str, total: int) -> None:
        """Begin the stage ``label``, which consists of ``total`` units; 0 where that is not known."""
        self._close()
        self._label, self._total, self._done = label, total, 0
        self._started = self._told = time.monotonic()
        if self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate())
            self._bar = Bar(*columns, TimeRemainingColumn(), console=self._console)
            self._bar.add_task(label, total=total or None)
            self._bar.start()

    def advance(self, n: int = 1) -> None:
        """``n`` more units are done."""
        self._done += n
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0], n)
            return
        now = time.monotonic()
        if self._done and now - self._told >= LINE_SECONDS:
            self._told = now
            rate = self._done / (now - self._started)
            left = max(self._total - self._done, 0) / rate
            self._show(self._line(f"{rate:.1f}/s" + (f", about {left:.0f} s left" if left else "")))

    def finish(self) -> None:
        """The stage is over; where there is no terminal, one line says how long it took."""
        seconds = time.monotonic() - self._started
        if self._total or self._done or seconds >= WORTH_A_LINE:
            line = self._line(f"{seconds:.0f} s")
            _log.info(line)
            if self._bar is None:
                self._show(line)
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _line(self, text: str) -> str:
        done = f"{self._done} of {self._total}, " if self._total else f"{self._done}, " if self._done else ""
        return f"{self._label}: {done}{text}"

    def _show(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
