"""The run folder keeps the day on which a method's run began, and published timings keep their bytes."""

from datetime import UTC, datetime, timedelta

import pytest
from PIL import Image

from evenhand.bench.errors import EvenhandError
from evenhand.bench.prompts.selection import resolve
from evenhand.bench.results.result import Timing
from evenhand.bench.storage.run_folder import RunFolder


def test_day_of_a_run_is_that_of_its_first_phase(tmp_path):
    folder = RunFolder(tmp_path)
    before = datetime.now(UTC).date().isoformat()
    folder.spend("generate_seconds", "base", 1.0, machine="x")
    after = datetime.now(UTC).date().isoformat()
    first = folder.timings()["base"]
    assert before <= first.date <= after
    folder.write_timings({"base": first.model_copy(update={"date": "2026-01-31"})})
    folder.spend("judge_seconds", "base", 1.0, machine="x")
    found = folder.timings()["base"]
    assert (found.date, found.generate_seconds, found.judge_seconds) == ("2026-01-31", 1.0, 1.0)


def test_a_phase_that_ends_on_another_day_has_the_day_on_which_it_began(tmp_path):
    folder, days = RunFolder(tmp_path), 3
    expected = {(datetime.now(UTC) - timedelta(days=days)).date().isoformat()}
    folder.spend("fit_seconds", "uce", days * 86_400.0, machine="x")
    expected.add((datetime.now(UTC) - timedelta(days=days)).date().isoformat())
    assert folder.timings()["uce"].date in expected


def test_many_short_blocks_add_up(tmp_path):
    folder = RunFolder(tmp_path)
    for _ in range(50):
        folder.spend("judge_seconds", "base", 0.04, machine="x")
    assert folder.timings()["base"].judge_seconds == pytest.approx(2.0)


def test_timing_without_a_date_is_written_without_one():
    assert "date" not in Timing(method="base").model_dump(mode="json")
    assert Timing(method="base", date="2026-01-31").model_dump(mode="json")["date"] == "2026-01-31"


def test_a_folder_of_another_limit_says_so(tmp_path):
    folder = RunFolder(tmp_path)
    folder.initialize(resolve("mini-quick", limit=4))
    folder.check(resolve("mini-quick", limit=4))
    for limit in (0, 2):
        with pytest.raises(EvenhandError, match=r"'mini-quick' with another limit; use the same --limit"):
            folder.check(resolve("mini-quick", limit=limit))
    with pytest.raises(EvenhandError, match="belongs to suite 'mini-quick' version"):
        folder.check(resolve("mini", limit=4))


def test_a_folder_whose_suite_was_removed_is_still_that_of_a_run_if_it_has_annotations(tmp_path):
    (tmp_path / "annotation").mkdir()
    RunFolder(tmp_path).check(resolve("mini-quick", limit=4))


@pytest.mark.parametrize("way", ["run", "audit"])
def test_images_behind_a_link_are_refused_before_anything_is_written(evenhand, tmp_path, way):
    (tmp_path / "disk").mkdir()
    (tmp_path / "work").mkdir()
    (tmp_path / "work/images").symlink_to(tmp_path / "disk")
    Image.new("RGB", (64, 64), "red").save(tmp_path / "nurse.png")
    command = ["run", "mini-quick"] if way == "run" else ["audit", tmp_path, "--suite", "mini-quick"]
    outcome = evenhand(*command, "--out", tmp_path / "work")
    assert outcome.code == 2
    assert "images is a link, and a run keeps its images in its own folder" in outcome.err
    assert [path.name for path in (tmp_path / "work").iterdir() if path.name != ".lock"] == ["images"]
    assert not any((tmp_path / "disk").iterdir())
