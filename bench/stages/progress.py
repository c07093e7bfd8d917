"""Progress of long tasks: a progress bar on a terminal, otherwise a few lines.

Finished stages are also logged, and warnings of the log are shown here.
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
"""Interval of progress lines if there is no terminal."""

MIN_SECONDS = 1.0
"""Stages without units that take less time are not reported if there is no terminal."""


class _Rate(ProgressColumn):
    """Finished units per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s", style="progress.data.speed")


class _Warnings(logging.Handler):
    """Shows warnings on a console, above the progress bar if there is one."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(record.getMessage(), highlight=False, markup=False, soft_wrap=True)


class Progress:
    """Reports the progress of a task, one stage at a time.

    As a context manager, it restores the terminal even if the task fails.

    Args:
        console: Where to write; standard error by default, so that standard output stays clean.
        quiet: Whether to write nothing.
    """

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        self._console = console or Console(file=sys.stderr, quiet=quiet)
        self._warnings = _Warnings(self._console)
        self._bar: Bar | None = None
        self._label = ""
        self._total = self._done = 0
        self._started = self._last_line = 0.0

    def __enter__(self) -> Self:
        ROOT.addHandler(self._warnings)
        # A library may add a handler to the root logger, which would show all messages twice.
        ROOT.propagate = self._console.quiet
        return self

    def __exit__(self, *fault: object) -> None:
        ROOT.propagate = True
        ROOT.removeHandler(self._warnings)
        self._close()

    def say(self, line: str) -> None:
        """Write one line between two stages."""
        _log.info(line)
        self._show(line)

    def start(self, label: str, total: int) -> None:
        """Start the stage ``label``, which has ``total`` units; 0 if unknown."""
        self._close()
        self._label, self._total, self._done = label, total, 0
        self._started = self._last_line = time.monotonic()
        if self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate())
            self._bar = Bar(*columns, TimeRemainingColumn(), console=self._console)
            self._bar.add_task(label, total=total or None)
            self._bar.start()

    def advance(self, n: int = 1) -> None:
        """Count ``n`` more finished units."""
        self._done += n
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0], n)
            return
        now = time.monotonic()
        if self._done and now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            rate = self._done / (now - self._started)
            left = max(self._total - self._done, 0) / rate
            self._show(self._line(f"{rate:.1f}/s" + (f", about {left:.0f} s left" if left else "")))

    def finish(self) -> None:
        """End the stage; if there is no terminal, one line says how long it took."""
        seconds = time.monotonic() - self._started
        if self._total or self._done or seconds >= MIN_SECONDS:
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
