"""Pulling from a cache: what is taken equals what a run computes, and nothing false is taken."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.cache import (
    METHODS,
    Mine,
    a_cache,
    a_run,
    copy_of_run,
    files,
    images,
    pull,
    rename_by_digest,
    repaint,
)
from helpers.faults import CLOCKED
from helpers.hostile import NOT_FILES, replace
from helpers.paths import TINY

from evenhand.bench import evaluate, pull_cache
from evenhand.bench.cache.labels import label_files
from evenhand.bench.cache.layout import BASELINE, ELSEWHERE
from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard.submit import pulled_rows
from evenhand.bench.parsing.strict_parquet import write_parquet
from evenhand.bench.stages import measure
from evenhand.bench.stages.generate import Drawing
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.images import ImageStore, as_png, read_image
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.storage.stored_run import load_run
from evenhand.bench.suites.variant import variant

pytestmark = pytest.mark.slow


@pytest.fixture
def drawn(monkeypatch):
    """Keys of the images that are drawn."""
    a_cache()  # made before anything is recorded
    found, draw_all = [], Drawing.draw_all

    def recorded(self, jobs, **options):
        found.extend(job.key for job in jobs)
        return draw_all(self, jobs, **options)

    monkeypatch.setattr(Drawing, "draw_all", recorded)
    return found


@pytest.fixture
def judged(monkeypatch):
    """Keys of the images that a run judges."""
    a_cache()  # made before anything is recorded
    found, judge_images = [], measure.judge_images

    def recorded(judges, wanted, **options):
        found.extend(key for keys in wanted.values() for key in keys)
        return judge_images(judges, wanted, **options)

    monkeypatch.setattr(measure, "judge_images", recorded)
    return found


def run(folder, *methods):
    return evaluate(str(TINY), methods=methods, out=folder, progress=Progress(quiet=True))


def results_of(folder):
    """The files of a run that do not depend on clocks."""
    return {name: data for name, data in files(folder).items() if name.rpartition("/")[2] not in CLOCKED}


def taken(folder):
    """Everything in a run folder that can come from a cache."""
    return [name for name in files(folder) if name.startswith(("images/", "tables/", "interventions/"))]


def refused(cache, folder, **options):
    """The one-line reason why nothing is taken; the run folder has nothing of the cache."""
    with pytest.raises(EvenhandError) as fault:
        pull(cache, folder, **options)
    assert taken(folder) == [] and "\n" not in str(fault.value)
    return str(fault.value)


def test_a_run_on_a_pulled_baseline_computes_only_its_method_and_has_the_same_bytes(tmp_path, drawn, judged):
    folder = tmp_path / "run"
    found = pull(a_cache(), folder, methods=("base",))
    assert (found.images, found.labels, found.fits) == (8, 16, ())
    baseline = {path.stem for path in (folder / "images").rglob("*.png")}
    assert len(baseline) == 8 and {*drawn} == baseline, "the sample was drawn"
    drawn.clear()
    run(folder, "eos-swap", "random-attribute-prompt")
    assert drawn and baseline.isdisjoint(drawn) and baseline.isdisjoint(judged)
    assert results_of(folder) == results_of(a_run())


def test_run_log_says_what_was_taken_from_where_and_how_it_was_proven(tmp_path):
    pull(a_cache(), tmp_path / "run", methods=("base",), check=3)
    log = (tmp_path / "run" / "run.log").read_text()
    assert f"taken from {a_cache()}: 8 images, 16 labels" in log
    assert "base: 3 images drawn again with identical pixels, 6 labels agree" in log


def test_pulled_methods_are_not_computed_and_their_results_name_the_cache(tmp_path, drawn, judged):
    folder = tmp_path / "run"
    found = pull(a_cache(), folder)
    assert found.fits == ("eos-swap", "random-attribute-prompt")
    drawn.clear()
    run(folder, *METHODS)
    assert drawn == judged == []
    own, there = load_run(folder), load_run(a_run())
    for result, undisturbed in zip(own.results, there.results, strict=True):
        fitted = result.spec.method.label != "base"
        assert result.cost.fit_cache == (str(a_cache()) if fitted else "")
        assert any("was pulled from" in note for note in result.notes) == fitted
        cost = result.cost.model_copy(update={"fit_cache": ""})
        plain = result.model_copy(update={"cost": cost, "notes": result.notes[fitted:]})
        assert plain.to_json() == undisturbed.to_json()
    assert pulled_rows(own) == ["eos-swap", "random-attribute-prompt"]
    shutil.rmtree(folder / "interventions")
    run(folder, *METHODS)
    assert drawn == [] and pulled_rows(load_run(folder)) == [], "fitted here, with the same images"
    assert results_of(folder) == results_of(a_run())


def test_a_second_pull_has_nothing_to_take_and_draws_nothing(tmp_path, drawn):
    pull(a_cache(), tmp_path / "run")
    before = files(tmp_path / "run" / "images")
    drawn.clear()
    again = pull(a_cache(), tmp_path / "run")
    assert (again.images, again.labels, again.fits, again.proofs, drawn) == (0, 0, (), (), [])
    assert files(tmp_path / "run" / "images") == before


@pytest.mark.parametrize("after", [0, 3, 12])
def test_an_interrupted_pull_resumes(tmp_path, monkeypatch, after):
    put, written = ImageStore.put, []

    def stopped(self, key, image, **options):
        if self.root == tmp_path / "run" / "images":
            if len(written) == after:
                raise KeyboardInterrupt
            written.append(key)
        put(self, key, image, **options)

    monkeypatch.setattr(ImageStore, "put", stopped)
    with pytest.raises(KeyboardInterrupt):
        pull(a_cache(), tmp_path / "run")
    monkeypatch.setattr(ImageStore, "put", put)
    assert pull(a_cache(), tmp_path / "run").images + after >= len(images(a_cache()))
    whole = pull(a_cache(), tmp_path / "other")
    assert whole.labels == 2 * len(images(a_cache()))
    one, other = (RunFolder(tmp_path / name) for name in ("run", "other"))
    pd.testing.assert_frame_equal(
        *(folder.labels.read().sort_values(["key", "judge"], ignore_index=True) for folder in (one, other))
    )
    assert {path.name for path in (one.root / "images").rglob("*.png")} == {
        path.name for path in images(a_cache())
    }


def labels_of(cache):
    return sorted((cache / "labels").glob("*/*.parquet"))


def other_answers(cache, *, rows=slice(None)):
    """Swap the groups of a judge's labels, in files with the right names."""
    for path in labels_of(cache)[:1]:
        table = pq.read_table(path).to_pandas()
        first, second = (table[name].to_numpy(copy=True) for name in ("p0", "p1"))
        table.loc[table.index[rows], "p0"] = second[rows]
        table.loc[table.index[rows], "p1"] = first[rows]
        hexed = {name: [value.hex() for value in table[name]] for name in ("key", "pixels")}
        forged = table.assign(
            **hexed, probabilities=np.stack([table["p0"], table["p1"], table["cannot_tell"]], axis=1).tolist()
        )
        rename_by_digest(path, next(label_files(forged, groups=2)))


def other_columns(cache):
    rename_by_digest(labels_of(cache)[0], write_parquet(pd.DataFrame({"key": [1]}), {"key": pa.int64()}))


def one_grey_level(cache):
    for path in images(cache, BASELINE):
        repaint(path, 1)


def other_image(cache):
    one, other = images(cache, BASELINE)[:2]
    other.write_bytes(one.read_bytes())


def larger(cache):
    for path in images(cache, BASELINE):
        image, _ = read_image(path, key=path.stem)
        path.write_bytes(as_png(path.stem, np.tile(image, (1, 2, 1))))


def without_pixels(cache):
    for path in images(cache, BASELINE):
        image, _ = read_image(path, key=path.stem)
        path.write_bytes(as_png(path.stem, image, status="error"))


def truncated(cache):
    path = images(cache, BASELINE)[0]
    path.write_bytes(path.read_bytes()[:-20])


def fit_file(cache, name):
    return next((cache / "fits").glob(f"*/{name}"))


def other_tensors(cache):
    for path in (cache / "fits").glob("*/intervention.safetensors"):
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(bytes(data))
    for path in (cache / "fits").glob("*/intervention.json"):
        document = json.loads(path.read_text())
        path.write_text(json.dumps(document | {"data": {**document["data"], "more": 1}}))


def lower_costs(cache):
    for path in (cache / "fits").glob("*/cost.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"images": 7}))


def of_other_settings(cache):
    for path in (cache / "fits").glob("*/cost.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"fit": "00" * 32}))


def infinite_record(cache):
    path = fit_file(cache, "intervention.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"record": {"loss": float("nan")}}))


def deep_record(cache):
    fit_file(cache, "intervention.json").write_text("[" * 100_000)


@pytest.mark.parametrize(
    ("forge", "words"),
    [
        (one_grey_level, "on this kind of processor, where they must be equal"),
        (other_image, "its key or digest does not match its content"),
        (truncated, "image cannot be used"),
        (larger, "it has 64 x 32 pixels"),
        (without_pixels, "it has the status 'error'"),
        (other_answers, "labels of .* are not what the judge says here"),
        (other_columns, "its columns are not exactly"),
        (other_tensors, "the fit of .* cannot be used"),
        (lower_costs, "costs do not match their checksum"),
        (of_other_settings, "is not the one that its name says"),
        (infinite_record, "cannot be used .*JSON compliant"),
        (deep_record, "the fit of .* cannot be used"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_was_tampered_with_is_refused_and_nothing_is_taken(shared_cache, tmp_path, forge, words):
    forge(shared_cache)
    said = refused(shared_cache, tmp_path / "run")
    assert re.search(words, said), said
    assert said.startswith(f"nothing was taken from {shared_cache}: ")


def test_one_damaged_image_outside_the_sample_is_found_too(shared_cache, tmp_path, monkeypatch):
    monkeypatch.setattr("evenhand.bench.cache.pull.sample_of", lambda keys, count: sorted(keys)[:1])
    worst = max(images(shared_cache, BASELINE), key=lambda path: path.stem)
    worst.write_bytes(worst.read_bytes()[:-1])
    assert worst.name in refused(shared_cache, tmp_path / "run")


@pytest.mark.parametrize("make", NOT_FILES.values(), ids=NOT_FILES)
@pytest.mark.parametrize("room", ["images/*/*/*/*.png", "labels/*/*.parquet", "fits/*/intervention.json"])
def test_what_is_no_file_is_refused_in_one_line_with_exit_code_2(
    shared_cache, tmp_path, evenhand, make, room
):
    for path in shared_cache.glob(room):
        replace(path, make)
    outcome = evenhand("cache", "pull", shared_cache, TINY, "--run", tmp_path / "run", "--method", "eos-swap")
    if make is NOT_FILES["folder"]:
        assert outcome.code == 0, "a folder is none of the files of a cache, so there is less to take"
        return
    assert outcome.code == 2
    assert outcome.err.splitlines()[-1].startswith("evenhand: ") and "Traceback" not in outcome.err
    assert taken(tmp_path / "run") == []


def elsewhere(cache):
    """The cache as if its images were of another kind of processor."""
    for folder in (cache / "images").glob("*/*"):
        folder.rename(folder.with_name(ELSEWHERE))
    return cache


def test_images_of_another_kind_of_processor_may_differ_a_little_if_labels_agree(shared_cache, tmp_path):
    for path in images(elsewhere(shared_cache), BASELINE):
        repaint(path, 1)
    found = pull(shared_cache, tmp_path / "run", methods=("base",))
    (proof,) = found.proofs
    assert (proof.images, proof.identical, proof.exact) == (8, 0, False)
    assert "of another kind of processor, differ by at most" in proof.text
    assert found.images == 8 and found.labels == 0, "labels are bound to the pixels that were labelled"


def test_other_images_are_refused_wherever_they_are_said_to_be_from(shared_cache, tmp_path):
    for path in images(elsewhere(shared_cache), BASELINE):
        image, _ = read_image(path, key=path.stem)
        path.write_bytes(as_png(path.stem, np.ascontiguousarray(image[::-1])))
    assert "grey levels on average" in refused(shared_cache, tmp_path / "run", methods=("base",))


def test_labels_of_other_pixels_than_those_of_the_run_are_not_taken(shared_cache, tmp_path):
    store = RunFolder(copy_of_run(tmp_path)).images
    key = images(shared_cache, BASELINE)[0].stem
    image, _ = store.get(key)
    other = image.copy()
    other[0, 0, 0] ^= 1
    store.put(key, other)
    shutil.rmtree(tmp_path / "run" / "tables")
    found = pull(shared_cache, tmp_path / "run", methods=("base",))
    assert (found.images, found.labels) == (0, 14)


def test_a_single_false_label_is_found_if_its_image_is_in_the_sample(shared_cache, tmp_path):
    other_answers(shared_cache, rows=slice(0, 1))
    key = pq.read_table(labels_of(shared_cache)[0])["key"][0].as_py().hex()
    assert key in {path.stem for path in images(shared_cache)}
    assert "are not what the judge says" in refused(shared_cache, tmp_path / "run", check=100)


def test_nothing_is_taken_for_methods_of_others(tmp_path):
    found = pull(a_cache(), tmp_path / "run", methods=("base", Mine))
    assert found.images == 8 and found.fits == ()


def test_a_cache_of_other_settings_has_nothing_to_take(tmp_path):
    other = variant(str(TINY), model="", settings=["protocol.steps=1"])
    found = pull_cache(a_cache(), other, run=tmp_path / "run", progress=Progress(quiet=True))
    assert (found.images, found.labels, found.fits, found.proofs) == (0, 0, (), ())


def test_a_fit_without_images_is_not_taken(shared_cache, tmp_path):
    for folder in (shared_cache / "images").iterdir():
        shutil.rmtree(folder)
    found = pull(shared_cache, tmp_path / "run")
    assert found.fits == () and taken(tmp_path / "run") == []


@pytest.mark.parametrize("check", [0, -1])
def test_a_pull_without_proof_is_refused(tmp_path, check):
    with pytest.raises(EvenhandError, match="a cache is never trusted unproven"):
        pull(a_cache(), tmp_path / "run", check=check)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_no_cache_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(EvenhandError, match="is not a cache"):
        pull(a_run(), tmp_path / "run")
    with pytest.raises(EvenhandError, match="is not a cache"):
        pull(tmp_path / "nowhere", tmp_path / "run")
    assert not (tmp_path / "run").exists()
