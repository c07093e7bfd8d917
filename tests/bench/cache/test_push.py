"""Pushing to a cache: what can be repeated is shared, once."""

import shutil

import numpy as np
import pytest
from helpers.cache import METHODS, Mine, a_cache, a_run, copy_of_run, files, images, pull
from helpers.paths import TINY

from evenhand.bench import evaluate, push_cache
from evenhand.bench.cache.layout import BASELINE, ELSEWHERE, FORMAT_FILE
from evenhand.bench.cache.places import FolderCache
from evenhand.bench.errors import EvenhandError
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.run_folder import RunFolder

pytestmark = pytest.mark.slow


def push(cache, run, **options):
    return push_cache(cache, run=run, progress=Progress(quiet=True), **options)


def test_a_cache_has_the_images_labels_and_fits_of_the_run(tmp_path):
    found = push(tmp_path / "cache", copy_of_run(tmp_path))
    whole = {path.stem for path in (a_run() / "images").rglob("*.png")}
    assert {path.stem for path in images(tmp_path / "cache")} == whole
    assert (found.images, found.labels) == (len(whole), 2 * len(whole))
    assert found.fits == METHODS[1:] and found.left_out == {}
    assert all(proof.exact and proof.images == 8 for proof in found.proofs)
    assert (tmp_path / "cache" / FORMAT_FILE).is_file()


def test_pushing_again_changes_nothing(tmp_path):
    cache = shutil.copytree(a_cache(), tmp_path / "cache")
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    found = push(cache, copy_of_run(tmp_path))
    assert (found.images, found.labels, found.fits) == (0, 0, ())
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before


def test_several_runs_share_one_cache(tmp_path):
    cache, run = tmp_path / "cache", copy_of_run(tmp_path)
    for method in ("mist", "eos-swap"):
        (run / "results" / f"{method}.json").unlink(missing_ok=True)
    first = push(cache, run)
    assert first.fits == ("random-attribute-prompt",)
    push(cache, copy_of_run(tmp_path / "again"))
    assert sorted(path for path in files(cache) if path.endswith(".png")) == sorted(
        path for path in files(a_cache()) if path.endswith(".png")
    )
    assert pull(cache, tmp_path / "pulled").labels == pull(a_cache(), tmp_path / "other").labels


def test_two_machines_that_push_at_the_same_time_leave_one_label_of_every_image(tmp_path, monkeypatch):
    cache, run, others = tmp_path / "cache", copy_of_run(tmp_path), copy_of_run(tmp_path / "others")
    table = RunFolder(others).labels
    rows = table.read()
    # Another kind of processor rounds differently.
    table.finish(rows.assign(probabilities=[[p * (1 - 1e-9) for p in row] for row in rows["probabilities"]]))
    add = FolderCache.add

    def add_after_the_other(self, files):
        monkeypatch.setattr(FolderCache, "add", add)
        push(cache, others)
        add(self, files)

    monkeypatch.setattr(FolderCache, "add", add_after_the_other)
    push(cache, run)
    twice, once = (len([*(place / "labels").glob("*/*.parquet")]) for place in (cache, a_cache()))
    assert twice == 2 * once, "both pushed their labels"
    assert pull(cache, tmp_path / "pulled").labels == pull(a_cache(), tmp_path / "usual").labels
    assert push(cache, run).labels == 0


@pytest.mark.parametrize("after", [0, 1, 5, 12, 25, 26, 30])
def test_an_interrupted_push_resumes(tmp_path, monkeypatch, after):
    from evenhand.bench.cache import places

    copy, written = places.copy_atomically, []

    def stopped(source, target, **options):
        if len(written) == after:
            raise KeyboardInterrupt
        written.append(target)
        copy(source, target, **options)

    monkeypatch.setattr(places, "copy_atomically", stopped)
    with pytest.raises(KeyboardInterrupt):
        push(tmp_path / "cache", copy_of_run(tmp_path))
    monkeypatch.setattr(places, "copy_atomically", copy)
    push(tmp_path / "cache", tmp_path / "run")
    assert files(tmp_path / "cache") == files(a_cache())


def test_images_that_cannot_be_repeated_are_not_shared(tmp_path):
    run = copy_of_run(tmp_path)
    store = RunFolder(run).images
    for path in images(a_cache(), BASELINE):
        image, _ = store.get(path.stem)
        store.put(path.stem, np.ascontiguousarray(image[::-1]))
    with pytest.raises(EvenhandError, match=r"is not shared: the image of base .* grey levels on average"):
        push(tmp_path / "cache", run)
    assert not (tmp_path / "cache").exists()


def test_images_from_another_kind_of_processor_do_not_claim_this_one(tmp_path):
    run = copy_of_run(tmp_path)
    store = RunFolder(run).images
    for path in images(a_cache(), BASELINE):
        image, _ = store.get(path.stem)
        other = image.copy()
        other[0, 0, 0] ^= 1
        store.put(path.stem, other)
    push(tmp_path / "cache", run)
    assert {path.parts[-3] for path in images(tmp_path / "cache", BASELINE)} == {ELSEWHERE}


def test_a_damaged_image_is_not_shared(tmp_path):
    run = copy_of_run(tmp_path)
    damaged = sorted((run / "images").rglob("*.png"))[0]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    push(tmp_path / "cache", run)
    whole = {path.stem for path in images(a_cache())}
    assert {path.stem for path in images(tmp_path / "cache")} == whole - {damaged.stem}


def test_a_pulled_fit_is_not_pushed_on(tmp_path):
    pull(a_cache(), tmp_path / "run")
    evaluate(str(TINY), methods=METHODS, out=tmp_path / "run", progress=Progress(quiet=True))
    found = push(tmp_path / "cache", tmp_path / "run")
    assert [*found.left_out] == [*METHODS[1:]] and found.fits == ()
    assert all("it was pulled from" in reason for reason in found.left_out.values())


def test_a_fit_by_other_code_is_not_shared(tmp_path, monkeypatch):
    monkeypatch.setattr("evenhand.bench.storage.fits.code_digest", lambda cls: "ab" * 32)
    found = push(tmp_path / "cache", copy_of_run(tmp_path))
    assert "the code of the method has changed since" in found.left_out["eos-swap"]
    assert {path.parts[-4] for path in images(tmp_path / "cache")} == {BASELINE}


def test_methods_of_others_are_not_shared(tmp_path):
    run = copy_of_run(tmp_path)
    evaluate(str(TINY), methods=["base", *METHODS[1:], Mine], out=run, progress=Progress(quiet=True))
    found = push(tmp_path / "cache", run)
    assert found.left_out == {"mine": "it is not part of Evenhand"}
    assert files(tmp_path / "cache") == files(a_cache())


def test_a_run_of_another_model_revision_is_not_shared(tmp_path, monkeypatch):
    run = copy_of_run(tmp_path)
    path = run / "results" / "base.json"
    path.write_text(path.read_text().replace('"model_revision": "', '"model_revision": "00'))
    with pytest.raises(EvenhandError, match="but the run used 00"):
        push(tmp_path / "cache", run)


def test_a_folder_that_is_no_cache_is_not_written_to(tmp_path):
    run = copy_of_run(tmp_path)
    with pytest.raises(EvenhandError, match="is not a cache"):
        push(run, run)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(EvenhandError, match="is not a cache"):
        push(tmp_path / "other", run)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["thesis.tex"]


def test_an_unfinished_run_or_another_folder_is_not_shared(tmp_path):
    run = copy_of_run(tmp_path)
    shutil.rmtree(run / "results")
    with pytest.raises(EvenhandError, match="run has no results yet"):
        push(tmp_path / "cache", run)
    with pytest.raises(EvenhandError, match="is not a run folder"):
        push(tmp_path / "cache", tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_an_audit_is_not_shared(audited, tmp_path):
    with pytest.raises(EvenhandError, match="only runs of suites can be shared"):
        push(tmp_path / "cache", audited.folder)


def test_a_damaged_label_file_of_the_cache_stops_the_push(tmp_path):
    cache = shutil.copytree(a_cache(), tmp_path / "cache")
    next((cache / "labels").glob("*/*.parquet")).write_bytes(b"x")
    with pytest.raises(EvenhandError, match="its SHA-256 is not its name"):
        push(cache, copy_of_run(tmp_path))
    assert isinstance(FolderCache(cache).files(), dict)
