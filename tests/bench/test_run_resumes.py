"""A run that is killed at any moment and resumed ends with the bytes of an undisturbed run."""

import signal
import subprocess
import sys
import time

import pytest
from helpers.paths import TINY

from evenhand.bench import evaluate
from evenhand.bench.storage.run_folder import load_run

pytestmark = pytest.mark.slow

METHODS = ["mist", "random-attribute-prompt"]
CODE = """
import sys
from pathlib import Path
from evenhand.bench import evaluate
evaluate(sys.argv[1], methods=sys.argv[3:], out=Path(sys.argv[2]))
"""


def results(folder):
    return {path.name: path.read_bytes() for path in (folder / "results").glob("*.json")}


def images(folder):
    return {path: path.stat().st_mtime_ns for path in (folder / "images").rglob("*.png")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    evaluate(str(TINY), methods=METHODS, out=folder)
    return folder


def fitting(folder):
    """Some images of the method's loop exist, no evaluation yet."""
    return len(images(folder)) >= 1


def generating(folder):
    """The first method's intervention is kept."""
    return (folder / "interventions" / "mist" / "cost.json").exists()


def judging(folder):
    """A first part of the label table is written."""
    return any((folder / "tables" / "labels").glob("part-*"))


def writing(folder):
    """The label table is finished, but not all results are written."""
    return (folder / "tables" / "labels.parquet").exists()


@pytest.mark.parametrize("moment", [fitting, generating, judging, writing])
def test_a_killed_run_resumes_to_the_same_result_bytes(undisturbed, tmp_path, moment):
    folder = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-c", CODE, str(TINY), str(folder), *METHODS])
    deadline = time.monotonic() + 300
    while not moment(folder) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    assert moment(folder), "the run never came to this moment"
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = images(folder)
    run = evaluate(str(TINY), methods=METHODS, out=folder)
    assert results(folder) == results(undisturbed)
    # Images of a fit are deleted when it is done.
    after = images(folder)
    assert all(after.get(path, image) == image for path, image in kept.items()), (
        "a valid image was regenerated"
    )
    assert [result.coverage.planned for result in run.results] == [8, 8, 8]


def test_a_second_run_generates_judges_and_fits_nothing(undisturbed):
    before, bytes_before = images(undisturbed), results(undisturbed)
    parts = sorted((undisturbed / "tables").rglob("*"))
    evaluate(str(TINY), methods=METHODS, out=undisturbed)
    assert images(undisturbed) == before
    assert results(undisturbed) == bytes_before
    assert sorted((undisturbed / "tables").rglob("*")) == parts


def test_only_a_damaged_image_is_regenerated(undisturbed):
    before = images(undisturbed)
    bytes_before = results(undisturbed)
    victim = undisturbed / load_run(undisturbed).images[0].path
    content = victim.read_bytes()
    victim.write_bytes(content[: len(content) // 2])
    evaluate(str(TINY), methods=METHODS, out=undisturbed)
    assert victim.read_bytes() == content
    after = images(undisturbed)
    assert {path for path in before if before[path] != after[path]} == {victim}
    assert results(undisturbed) == bytes_before


def test_a_method_added_later_is_reported_with_the_existing_ones(undisturbed):
    run = evaluate(str(TINY), methods=["uce:images=2,rounds=1"], out=undisturbed)
    labels = [result.spec.method.label for result in run.results]
    assert labels == ["base", "mist", "random-attribute-prompt", "uce:images=2,rounds=1"]
    assert all(rank.of == 4 for result in run.results for rank in result.ranks)


def test_another_strength_of_a_method_is_measured_and_not_ranked(undisturbed):
    own, other = "uce:images=2,rounds=1", "uce:images=2,rounds=1,step_size=0.01"
    run = evaluate(str(TINY), methods=[own, other], out=undisturbed)
    found = {result.spec.method.label: result for result in run.results}
    assert found[own].spec.method.strength == "step_size"
    assert found[own].ranks and found[other].estimates and found[other].ranks == []
    assert {rank.of for rank in found[own].ranks} == {4}, "as many as without the other strength"
    assert "step_size = 0.01" in (undisturbed / "report.html").read_text()
