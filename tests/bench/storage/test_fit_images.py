"""The list of a fit's images survives interruptions, and damage to it affects nothing else."""

import os

import pytest

from evenhand.bench.storage.fit_images import LIST_FILE, FitImages


def test_keys_are_listed_before_the_next_session_and_forgotten_with_the_list(tmp_path):
    folder = tmp_path / "interventions" / "mist"
    images = FitImages(folder)
    images.add(["a1", "b2", "a1"], edited=True)
    images.add(["c3"], edited=False)
    images.add(["b2", "d4"], edited=True)
    again = FitImages(folder)
    assert (again.edited, again.unedited) == ({"a1", "b2", "d4"}, {"c3"})
    assert (folder / LIST_FILE).read_text().split("\n")[1:] == [
        "edited a1",
        "edited b2",
        "baseline c3",
        "edited d4",
    ]
    again.forget()
    again.forget()
    assert not FitImages(folder).edited


def test_half_a_line_of_a_killed_process_does_not_hide_the_next_one(tmp_path):
    (tmp_path / LIST_FILE).write_text("\nedited a1\nbasel")
    FitImages(tmp_path).add(["b2"], edited=True)
    assert FitImages(tmp_path).edited == {"a1", "b2"}


def test_lines_that_are_no_keys_are_ignored(tmp_path):
    (tmp_path / LIST_FILE).write_bytes(b"edited ../../secret\nedited a1\n\xff\xfe\nother b2\n")
    assert FitImages(tmp_path).edited == {"a1"}


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to(path.parent / "outside")])
def test_nothing_is_written_through_a_link_or_a_pipe(tmp_path, make):
    (tmp_path / "outside").write_text("kept")
    make(tmp_path / LIST_FILE)
    FitImages(tmp_path).add(["a1"], edited=True)
    assert (tmp_path / "outside").read_text() == "kept"
    assert FitImages(tmp_path).edited == {"a1"}


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = FitImages()
    images.add(["a1"], edited=True)
    images.forget()
    assert images.edited == {"a1"} and not list(tmp_path.iterdir())
