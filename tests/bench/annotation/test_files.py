"""Keys of annotation batches."""

import hashlib

import pytest
from helpers.stored_run import a_stored_run

from evenhand.bench.annotation.annotations import import_annotations
from evenhand.bench.annotation.files import KEY_COLUMNS, human_labels, image_id, key_folder, read_key
from evenhand.bench.errors import EvenhandError
from evenhand.bench.storage.run_folder import RunFolder

HEADER = ",".join(KEY_COLUMNS)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored") / "run"
    a_stored_run(folder, methods=("base", "mist"), concepts=("nurse",), seeds=1, side=8)
    return folder


@pytest.fixture
def run(stored):
    run_folder = RunFolder(stored)
    yield run_folder
    for path in key_folder(run_folder).glob("*.csv"):
        path.unlink()


def write_key(run, batch, *rows):
    folder = key_folder(run)
    folder.mkdir(exist_ok=True)
    (folder / f"{batch}.csv").write_text("\n".join([HEADER, *rows]) + "\n")


def test_the_id_of_an_image_is_a_hash_of_its_file(tmp_path):
    (tmp_path / "a.png").write_bytes(b"image")
    assert image_id(tmp_path / "a.png") == hashlib.sha256(b"image").hexdigest()[:16]
    with pytest.raises(EvenhandError, match=r"b\.png: image cannot be read .*run the suite again"):
        image_id(tmp_path / "b.png")


def test_without_a_batch_images_are_known_by_key_and_by_id(run):
    keys = set(run.image_table.read()["key"])
    found = read_key(run, batches=(), ids=())
    assert set(found.known.values()) == keys and len(found.known) == 2 * len(keys)
    for key in keys:
        assert found.known[key] == found.known[image_id(run.images.path(key))] == key
    assert (len(found.gold), found.repeats, found.probabilities) == (0, frozenset(), {})


def test_a_key_has_gold_labels_repeats_and_probabilities(run):
    write_key(run, "b1", "i1,k1,s,0.25,1,", "i2,k2,s,,0,gender=woman;tone=dark")
    found = read_key(run, batches={"b1", ""}, ids=())
    assert found.known == {"i1": "k1", "i2": "k2"}
    assert found.repeats == {"k1"} and found.probabilities == {"k1": 0.25}
    assert found.gold.values.tolist() == [["k2", "gender", "woman"], ["k2", "tone", "dark"]]


def test_a_batch_that_is_not_named_is_found_by_its_images(run):
    write_key(run, "b1", "i1,k1,s,0.25,0,")
    write_key(run, "b2", "i2,k2,s,0.25,0,")
    assert read_key(run, batches=(), ids={"i2"}).known == {"i2": "k2"}
    with pytest.raises(EvenhandError, match=r"of 2 batches \(b1, b2\); import one batch at a time"):
        read_key(run, batches=(), ids={"i1", "i2"})


def test_files_of_an_import_are_no_batches(run):
    write_key(run, "annotations", "i1,k1,s,0.25,0,")
    assert "i1" not in read_key(run, batches=(), ids={"i1"}).known


def test_a_batch_of_another_run_and_an_altered_key_are_errors(run):
    with pytest.raises(EvenhandError, match="batch 'b9', which is not of run"):
        read_key(run, batches={"b9"}, ids=())
    write_key(run, "b1", "i1,k1,s,0.25,0,")
    path = key_folder(run) / "b1.csv"
    path.write_text(path.read_text().replace("stratum", "strata"))
    with pytest.raises(EvenhandError, match=f"key was altered, the header must be {HEADER}; export again"):
        read_key(run, batches={"b1"}, ids=())


def test_labels_of_people_have_a_table_of_their_own(run):
    assert human_labels(run).path == run.root / "tables" / "human_labels.parquet"
    assert human_labels(run).keys == ["key", "judge", "judge_version", "attribute"]


@pytest.mark.parametrize("table", ["images", "labels"])
def test_annotations_of_a_run_without_whole_tables_are_an_error(tmp_path, table):
    a_stored_run(tmp_path, methods=("base", "mist"), concepts=("nurse",), seeds=1, side=8)
    path = tmp_path / "tables" / f"{table}.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(EvenhandError, match=rf"{table}\.parquet: table is truncated .*; run the same"):
        import_annotations([tmp_path / "a.csv"], tmp_path)
    path.unlink()
    with pytest.raises(EvenhandError, match="run has no judged images; run the same"):
        import_annotations([tmp_path / "a.csv"], tmp_path)
