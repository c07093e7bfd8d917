"""Full disks, lost permissions, clock jumps, second processes and lost workers cost only time."""

import os
import shutil
import signal

import pytest
from helpers.faults import (
    ClockJumps,
    Running,
    SignalAtStage,
    TakenAway,
    WorkerFails,
    contents,
    finish,
    mounted,
    resize,
    run,
    set_writable,
    unchanged,
    whole_images,
)

pytestmark = pytest.mark.slow


def size(folder):
    """Size in bytes of the files of a folder, rounded up to whole pages."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob("*") if path.is_file())


def test_a_run_resumes_after_repeated_full_disks(undisturbed, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    fit, images, tables, results = (
        size(undisturbed / name) for name in ("interventions", "images", "tables", "results")
    )
    judged = fit + images + tables
    sizes = [fit // 9, fit // 2, fit + images // 3, fit + images, judged + results // 2, judged + results]
    with mounted(disk, "-t", "tmpfs", "-o", f"size={sizes[0]}", "none"):
        folder = disk / "run"
        for available in sizes:
            resize(disk, available)
            before = whole_images(folder)
            ending = run(folder)
            assert (ending.code, ending.message.startswith("evenhand: disk is full")) == (2, True), (
                ending.error
            )
            kept = whole_images(folder)
            assert unchanged(before, kept)
        resize(disk, 10 * size(undisturbed))
        finish(folder)
        assert contents(folder) == contents(undisturbed)


def test_a_read_only_folder_is_not_changed(undisturbed, tmp_path):
    folder = shutil.copytree(undisturbed, tmp_path / "run")
    before = contents(folder)
    try:
        set_writable(folder, False)
        ending = run(folder)
    finally:
        set_writable(folder, True)
    assert ending.code == 2
    assert ending.message.startswith("evenhand: ") and str(folder) in ending.message
    assert contents(folder) == before


def test_a_run_resumes_after_write_permission_was_revoked(undisturbed, tmp_path):
    folder = tmp_path / "run"
    try:
        ending = run(folder, fault=TakenAway())
    finally:
        set_writable(folder, True)
    assert ending.code == 2
    assert ending.message.startswith("evenhand: ") and str(folder) in ending.message
    finish(folder)
    assert contents(folder) == contents(undisturbed)


def test_the_clock_does_not_affect_a_run(undisturbed, tmp_path):
    folder = tmp_path / "run"
    assert run(folder, fault=SignalAtStage("judge")).code == -9
    for number, path in enumerate(sorted(folder.rglob("*"))):
        when = 4e9 * (number % 2)
        os.utime(path, (when, when))
    kept = whole_images(folder)
    ending = run(folder, fault=ClockJumps())
    assert ending.code == 0, ending.error
    assert whole_images(folder) == kept, "an image with a past or future date was regenerated"
    assert contents(folder) == contents(undisturbed)


def test_a_second_process_is_rejected_and_the_first_is_unaffected(undisturbed, tmp_path):
    folder = tmp_path / "run"
    first = Running(folder)
    first.wait_for("generate")
    # Stopped, so that it is still running however fast the machine is.
    os.kill(first.process.pid, signal.SIGSTOP)
    second = run(folder)
    os.kill(first.process.pid, signal.SIGCONT)
    assert first.end().code == 0
    assert second.code == 2
    assert second.error.count("\n") == 1
    assert "in use by another process; wait for it, or choose another --out" in second.message
    assert contents(folder) == contents(undisturbed)


def test_a_lost_worker_loses_no_image(undisturbed, tmp_path):
    folder = tmp_path / "run"
    ending = run(folder, fault=WorkerFails(5))
    assert ending.code == 1, "an error that the user cannot fix keeps its traceback"
    assert "stopped: the device is lost" in (folder / "run.log").read_text()
    kept = whole_images(folder)
    assert len(kept) >= 6, "batches that were drawn before are kept"
    finish(folder)
    after = whole_images(folder)
    assert unchanged(kept, after)
    assert contents(folder) == contents(undisturbed)


def test_ctrl_c_keeps_everything_and_says_how_to_resume(undisturbed, tmp_path):
    folder = tmp_path / "run"
    for stage, count in [
        ("load", 1),
        ("fit", 1),
        ("generate", 3),
        ("judge", 3),
        ("measure", 1),
        ("write", 1),
    ]:
        before = whole_images(folder)
        ending = run(folder, fault=SignalAtStage(stage, count, signal.SIGINT))
        assert (ending.code, ending.stage) == (130, stage), ending.error
        assert ending.message == "evenhand: interrupted; run the same command again to resume"
        assert "Traceback" not in ending.error
        kept = whole_images(folder)
        assert unchanged(before, kept)
    finish(folder)
    assert contents(folder) == contents(undisturbed)
    assert [line.split(" ", 2)[2] for line in (folder / "run.log").read_text().splitlines()][-1] == (
        "run of suite faults with base, mist, random-attribute-prompt finished"
    )
