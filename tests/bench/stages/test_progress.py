"""Progress is plain lines outside a terminal, and a bar with rate and remaining time in a terminal."""

import io
import logging

import pytest
from rich.console import Console

from evenhand.bench.stages import progress as module
from evenhand.bench.stages.progress import Progress


class Clock:
    """A clock that the test advances."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def quiet() -> tuple[Progress, io.StringIO]:
    text = io.StringIO()
    return Progress(Console(file=text, width=40)), text


def test_a_finished_stage_leaves_one_line_even_on_a_narrow_terminal(clock):
    progress, text = quiet()
    progress.start("random-attribute-prompt: images of the suite", 40)
    for _ in range(4):
        clock.now += 5
        progress.advance(10)
    progress.finish()
    assert text.getvalue() == "random-attribute-prompt: images of the suite: 40 of 40, 20 s\n"


def test_a_long_stage_reports_rate_and_remaining_work_every_minute(clock):
    progress, text = quiet()
    progress.start("base", 100)
    for _ in range(10):
        clock.now += 15
        progress.advance(10)
    assert text.getvalue().splitlines() == [
        "base: 40 of 100, 0.7/s, about 90 s left",
        "base: 80 of 100, 0.7/s, about 30 s left",
    ]


def test_a_stage_of_unknown_length_reports_completed_work(clock):
    progress, text = quiet()
    progress.start("mist: fit", 0)
    for _ in range(2):
        clock.now += 50
        progress.advance(100)
    progress.finish()
    assert text.getvalue().splitlines() == ["mist: fit: 200, 2.0/s", "mist: fit: 200, 100 s"]


def test_a_stage_with_nothing_to_do_prints_nothing():
    progress, text = quiet()
    progress.start("base: fit", 0)
    progress.finish()
    assert text.getvalue() == ""


def test_quiet_progress_prints_nothing(capsys):
    progress = Progress(quiet=True)
    progress.start("base", 8)
    progress.advance(8)
    progress.finish()
    assert capsys.readouterr().err == ""


def test_a_terminal_shows_a_bar_with_count_rate_and_time_left():
    text = io.StringIO()
    with Progress(Console(file=text, width=100, force_terminal=True)) as progress:
        progress.start("base", 40)
        progress.advance(20)
        progress.advance(20)
        progress.finish()
        progress.start("mist", 8)
        progress.advance(2)
    shown = text.getvalue()
    assert "40/40" in shown
    assert "/s" in shown
    assert "2/8" in shown


def test_the_terminal_is_restored_when_the_task_fails():
    text = io.StringIO()
    with (
        pytest.raises(ZeroDivisionError),
        Progress(Console(file=text, width=100, force_terminal=True)) as progress,
    ):
        progress.start("base", 40)
        progress.advance(1 // 0)
    hide, show = "\x1b[?25l", "\x1b[?25h"
    assert text.getvalue().rindex(show) > text.getvalue().rindex(hide)


@pytest.mark.parametrize("silent", [False, True])
def test_messages_are_not_duplicated_if_a_library_configures_the_root_logger(caplog, silent):
    text = io.StringIO()
    log = logging.getLogger("evenhand.bench.stages.progress")
    with Progress(quiet=True) if silent else Progress(Console(file=text, width=80)):
        log.warning("an image was altered")
    assert text.getvalue() == ("" if silent else "an image was altered\n")
    assert caplog.messages == (["an image was altered"] if silent else [])
    log.warning("afterwards")
    assert caplog.messages[-1] == "afterwards"
