"""The images and labels of a run as data frames."""

import pandas as pd
import pytest
from helpers.stored_run import IMAGES, METHODS, a_stored_run

from evenhand.bench.errors import EvenhandError
from evenhand.bench.storage.frames import judged_tables, stored_vectors
from evenhand.bench.storage.run_folder import RunFolder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return a_stored_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def images(run):
    return run.images_frame()


def test_images_frame_has_a_row_per_image_with_its_file_and_its_labels(run, images):
    assert len(images) == IMAGES
    assert list(images["method"].unique()) == list(METHODS)
    row = images.query(
        "method == 'mist' and concept == 'nurse' and kind == 'neutral' and seed_index == 1"
    ).iloc[0]
    assert (row["perceived_gender"], row["perceived_tone"], row["changed"]) == ("man", "light", "gender")
    assert row["path"].startswith(run.folder) and row["path"].endswith(f"{row['key']}.png")


def test_images_frame_finds_what_a_reader_looks_for(images):
    def found(fact):
        rows = images[images[fact] != ""]
        return set(
            zip(rows["method"], rows["concept"], rows["kind"], rows["seed_index"], rows[fact], strict=True)
        )

    assert found("changed") == {
        ("mist", "nurse", "neutral", 1, "gender"),
        ("mist", "nurse", "explicit", 0, "gender"),
        ("uce", "CEO", "neutral", 0, "tone"),
    }
    assert found("disobeyed") == {("mist", "nurse", "explicit", 0, "gender")}
    assert found("disagreed") == {("uce", "nurse", "neutral", 2, "gender")}


def test_labels_frame_has_a_row_per_image_judge_and_attribute(run, images):
    labels = run.labels_frame()
    people = images[images["kind"] != "unrelated"]
    assert set(labels["key"]) == set(people["key"])
    assert len(labels) == len(people) * (3 * 4 + 1)
    split = labels[(labels["judge"] == "vit") & (labels["label"] == "man")]
    assert split["key"].isin(images.query("kind == 'neutral' and disagreed != ''")["key"]).sum() == 1


def test_labels_of_an_earlier_version_of_a_judge_are_left_out(tmp_path):
    run = a_stored_run(tmp_path)
    table = RunFolder(tmp_path).labels
    old = table.read().query("judge == 'vit'").assign(judge_version="0", label="man")
    table.finish(pd.concat([table.read(), old], ignore_index=True))
    assert set(run.labels_frame().query("judge == 'vit'")["judge_version"]) == {"1"}
    assert (run.images_frame()["disagreed"] != "").sum() == 1


def test_judges_are_analysed_by_the_labels_of_their_version_in_the_results(tmp_path):
    a_stored_run(tmp_path)
    folder = RunFolder(tmp_path)
    before = folder.labels.read()
    old = before.query("judge == 'vit'").assign(judge_version="0", label="man")
    folder.labels.finish(pd.concat([before, old], ignore_index=True))
    images, labels = judged_tables(folder)
    assert len(images) == len(folder.image_table.read())
    names = [*folder.labels.keys, "label"]
    pd.testing.assert_frame_equal(
        labels[names].sort_values(names, ignore_index=True),
        before[names].sort_values(names, ignore_index=True),
    )


@pytest.mark.parametrize("table", ["images", "labels"])
def test_a_run_without_judged_images_cannot_be_analysed(tmp_path, table):
    a_stored_run(tmp_path)
    (tmp_path / "tables" / f"{table}.parquet").unlink()
    with pytest.raises(EvenhandError, match="run has no judged images; run the same `evenhand run` command"):
        judged_tables(RunFolder(tmp_path))


def test_embeddings_that_are_lost_are_not_left_out(tmp_path):
    a_stored_run(tmp_path)
    folder = RunFolder(tmp_path)
    first, second = folder.image_table.read()["key"][:2]
    with pytest.raises(EvenhandError, match=r"vectors\.parquet: table is missing; run the same"):
        stored_vectors(folder, {first})
    folder.vectors.finish(pd.DataFrame({"key": [first], "scorer": ["1"], "vector": [[0.6, 0.8]]}))
    assert {key: list(vector) for key, vector in stored_vectors(folder, {first}).items()} == {
        first: [0.6, 0.8]
    }
    with pytest.raises(EvenhandError, match=rf"embedding of image {second} is missing; run the same"):
        stored_vectors(folder, {first, second})


@pytest.mark.parametrize("column", ["key", "cell"])
def test_invalid_table_is_an_error_of_one_line(tmp_path, column):
    run = a_stored_run(tmp_path)
    table = RunFolder(tmp_path).image_table
    table.finish(table.read().assign(**{column: "../../x"}))
    with pytest.raises(EvenhandError) as fault:
        run.images_frame()
    assert "\n" not in str(fault.value)


def test_path_in_a_table_cannot_name_a_file_outside_the_run(tmp_path):
    run = a_stored_run(tmp_path)
    table = RunFolder(tmp_path).image_table
    table.finish(table.read().assign(path="/etc/passwd", folder="/etc"))
    assert run.images_frame()["path"].str.startswith(str(tmp_path)).all()
