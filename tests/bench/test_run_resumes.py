"""A finished run is continued: nothing is repeated, damage is repaired, methods are added.

That a killed run resumes to the same bytes is tested in ``tests/robustness/test_killed_runs.py``.
"""

import shutil

import pytest
from helpers.paths import TINY
from helpers.tiny import tiny_run

from evenhand.bench import evaluate
from evenhand.bench.stages.loop_images import LoopImages
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.storage.stored_run import load_run

pytestmark = pytest.mark.slow

METHODS = ["mist", "random-attribute-prompt"]


def results(folder):
    return {path.name: path.read_bytes() for path in (folder / "results").glob("*.json")}


def images(folder):
    return {path: path.stat().st_mtime_ns for path in (folder / "images").rglob("*.png")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return shutil.copytree(tiny_run("base", *METHODS), tmp_path_factory.mktemp("undisturbed") / "run")


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


def test_images_of_a_fit_are_deleted_even_if_the_run_was_interrupted_right_after_it(
    undisturbed, tmp_path, monkeypatch
):
    fits = ["mist:images=4,rounds=1", "uce:images=2,rounds=1"]

    def interrupted(self, fitted, images):
        if images.edited | images.unedited:
            raise KeyboardInterrupt

    out = shutil.copytree(undisturbed, tmp_path / "run")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(LoopImages, "done", interrupted)
        evaluate(str(TINY), methods=fits[:1], out=out)
    drawn = {path.name for path in images(out)}
    assert len(drawn) > len(images(undisturbed)), "the fit drew images"
    evaluate(str(TINY), methods=fits, out=out)
    table = RunFolder(out).image_table.read()
    assert {path.stem for path in images(out)} == set(table["key"])
    assert not list(out.rglob("images-of-fit.txt"))
