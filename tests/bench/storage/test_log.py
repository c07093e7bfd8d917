"""The log of a run folder."""

import logging
import re

import pytest

from evenhand.bench.storage.log import LOG_FILE, ROOT, logged


def lines(folder):
    """The lines of the log without their time."""
    pattern = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (.*)")
    return [pattern.fullmatch(line)[1] for line in (folder / LOG_FILE).read_text().splitlines()]


def test_a_task_its_messages_and_its_end_are_logged(tmp_path):
    with logged(tmp_path, "run mini"):
        logging.getLogger("evenhand.bench.storage").warning("image %s is damaged", "ab")
        logging.getLogger("elsewhere").warning("not ours")
    assert lines(tmp_path) == [
        "INFO run mini started",
        "WARNING image ab is damaged",
        "INFO run mini finished",
    ]


def test_a_second_task_is_appended(tmp_path):
    for task in ("one", "two"):
        with logged(tmp_path, task):
            pass
    assert [line.split()[1] for line in lines(tmp_path)] == ["one", "one", "two", "two"]


@pytest.mark.parametrize(
    ("fault", "shown"), [(ValueError("no space"), "no space"), (KeyboardInterrupt(), "KeyboardInterrupt")]
)
def test_the_reason_of_a_stop_is_logged_and_raised(tmp_path, fault, shown):
    with pytest.raises(type(fault)), logged(tmp_path, "run"):
        raise fault
    assert lines(tmp_path)[-1] == f"INFO run stopped: {shown}"


def test_handlers_and_level_are_as_before_even_after_an_error(tmp_path):
    before = (list(ROOT.handlers), ROOT.level)
    with pytest.raises(ValueError, match="no"), logged(tmp_path, "run"):
        assert ROOT.level == logging.INFO
        raise ValueError("no")
    assert (ROOT.handlers, ROOT.level) == before


def test_an_error_of_the_disk_stops_the_run(tmp_path):
    # Writing to /dev/full fails as on a full disk.
    (tmp_path / LOG_FILE).symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"), logged(tmp_path, "run"):
        raise AssertionError("never reached")
