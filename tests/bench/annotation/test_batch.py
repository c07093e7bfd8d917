"""An annotation batch: what annotators get, and the key that stays in the run."""

import pandas as pd
import pytest
from helpers.stored_run import a_stored_run

from evenhand.bench.annotation.batch import export_images
from evenhand.bench.annotation.files import KEY_COLUMNS, image_id, read_key
from evenhand.bench.errors import EvenhandError
from evenhand.bench.storage.run_folder import RunFolder

SIZE = {"n": 10, "explicit": 0, "min_per_group": 0}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored") / "run"
    a_stored_run(folder, side=16)
    return RunFolder(folder)


@pytest.fixture(scope="module")
def gold(run, tmp_path_factory):
    """Agreed labels of one image."""
    key = run.image_table.read()["key"][0]
    path = tmp_path_factory.mktemp("gold") / "gold.csv"
    path.write_text(f"key,attribute,label\n{key},gender,woman\n{key},tone,light\n")
    return path, key


@pytest.fixture(scope="module")
def exported(run, gold, tmp_path_factory):
    return export_images(run.root, tmp_path_factory.mktemp("out") / "batch", gold=gold[0], **SIZE)


def test_the_key_has_every_image_with_its_id_and_probability(run, gold, exported):
    table = pd.read_csv(exported.key, dtype=str, keep_default_na=False)
    assert tuple(table.columns) == KEY_COLUMNS and len(table) == exported.images
    assert [image_id(run.images.path(key)) for key in table["key"]] == table["image_id"].tolist()
    known = read_key(run, batches={exported.batch}, ids=())
    assert len(known.probabilities) == 10 and len(known.repeats) == exported.repeats == 1
    assert known.gold.values.tolist() == [[gold[1], "gender", "woman"], [gold[1], "tone", "light"]]
    assert exported.gold == 1


def test_probabilities_are_those_of_the_strata(exported):
    table = pd.read_csv(exported.key, keep_default_na=False).query("probability != ''")
    sizes = exported.strata.set_index("stratum")["images"]
    expected = table["stratum"].map(table.groupby("stratum").size() / sizes)
    assert table["probability"].astype(float).tolist() == pytest.approx(expected.tolist())


def test_annotators_get_images_without_their_keys(exported):
    handed = exported.page.parent
    sheet = pd.read_csv(exported.sheet, dtype=str, keep_default_na=False)
    assert list(sheet["image_id"]) == list(pd.read_csv(exported.key, dtype=str)["image_id"])
    assert all((handed / name).is_file() for name in sheet["thumbnail"])
    words = pd.read_csv(handed / "sheet-words.csv", dtype=str, keep_default_na=False)
    assert set(words["gender"]) >= {"woman", "man", "other", "cannot_tell"}
    given = exported.page.read_text() + exported.sheet.read_text()
    assert not [key for key in pd.read_csv(exported.key, dtype=str)["key"] if key in given]


def test_a_folder_with_files_and_gold_images_of_another_run_are_errors(run, tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(EvenhandError, match="output folder is not empty; choose an empty or new --out"):
        export_images(run.root, tmp_path, **SIZE)
    (tmp_path / "gold.csv").write_text("key,attribute,label\nelsewhere,gender,man\n")
    with pytest.raises(EvenhandError, match=r"gold\.csv:2: key 'elsewhere' is not an image of people"):
        export_images(run.root, tmp_path / "out", gold=tmp_path / "gold.csv", **SIZE)
    with pytest.raises(EvenhandError, match="file of gold labels cannot be read"):
        export_images(run.root, tmp_path / "out", gold=tmp_path / "none.csv", **SIZE)
    assert not (tmp_path / "out").exists()


def test_a_gold_label_is_read_as_it_is_written_and_a_wrong_one_is_an_error_of_its_line(run, gold, tmp_path):
    path = tmp_path / "gold.csv"
    path.write_text(f"# agreed\nkey,attribute,label\n{gold[1]},tone,light\n{gold[1]},gender,woman#2\n")
    with pytest.raises(EvenhandError, match=r"gold\.csv:4: unknown group of gender 'woman#2'"):
        export_images(run.root, tmp_path / "out", gold=path, **SIZE)


def test_an_image_behind_a_link_that_leads_outside_the_run_is_not_handed_out(tmp_path):
    a_stored_run(tmp_path / "run", side=16)
    run = RunFolder(tmp_path / "run")
    for number, key in enumerate(run.image_table.read()["key"]):
        run.images.path(key).rename(tmp_path / f"secret-{number}.png")
        run.images.path(key).symlink_to(tmp_path / f"secret-{number}.png")
    with pytest.raises(EvenhandError, match="is outside the run folder"):
        export_images(run.root, tmp_path / "out", **SIZE)
    assert not any(path.is_file() for path in (tmp_path / "out").rglob("*"))
