"""The tables of several runs as one."""

import pandas as pd
import pytest
from helpers.stored_run import a_stored_run

from evenhand.bench.comparison.runs import load_compared, with_distinct_names
from evenhand.bench.comparison.tables import pool
from evenhand.bench.errors import EvenhandError


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """``one`` has more concepts and seeds; in ``two`` uce draws the men that mist draws in ``one``."""
    home = tmp_path_factory.mktemp("runs")
    a_stored_run(home / "one", side=8)
    a_stored_run(home / "two", methods=("base", "uce"), concepts=("nurse",), seeds=2, side=8)
    return home


def pooled(*texts):
    return pool(with_distinct_names([load_compared(str(text)) for text in texts]), scorer=False)


@pytest.fixture(scope="module")
def both(folders):
    return pooled(folders / "one", folders / "two")


def test_only_shared_prompts_and_seeds_are_compared_and_the_rest_is_counted(both):
    # Of nurses: two seeds and one explicit prompt; and the image of a cat.
    assert (both.slots, both.prompts) == (4, 3)
    assert both.concepts(["CEO", "nurse"]) == ("nurse",)
    assert both.remarks == [
        "only images of shared prompts and seeds are compared: 4 of 9 of one, 4 of 4 of two"
    ]
    assert both.by_seed
    assert set(both.images["method"]) == {
        "base (one)", "mist (one)", "uce (one)", "base (two)", "uce (two)",
    }  # fmt: skip


def test_equal_images_keep_their_key_and_images_with_other_labels_get_another(both):
    assert both.same("base (one)", "base (two)")
    assert not both.same("uce (one)", "uce (two)") and not both.same("base (one)", "mist (one)")
    renamed = {key for key in both.images["key"] if "@" in key}
    assert renamed and all(key.endswith("@two") for key in renamed)
    assert set(both.images.loc[both.images["key"].isin(renamed), "method"]) == {"uce (two)"}
    panel = both.labels[both.labels["judge"] == "panel"].pivot(
        index="key", columns="attribute", values="label"
    )
    assert len(renamed) == 3
    assert all((panel.loc[key] != panel.loc[key.removesuffix("@two")]).any() for key in renamed)


def test_every_image_of_people_has_its_labels_once(both):
    people = both.images[both.images["kind"] != "unrelated"]
    assert not both.labels.duplicated(["key", "judge", "attribute"]).any()
    for judge, attribute in (("panel", "gender"), ("vit", "age")):
        rows = both.labels[(both.labels["judge"] == judge) & (both.labels["attribute"] == attribute)]
        assert set(rows["key"]) == set(people["key"])


def test_methods_of_one_run_share_everything(folders):
    found = pooled(f"{folders / 'one'}@base", f"{folders / 'one'}@mist")
    assert (found.slots, found.remarks) == (9, [])
    assert not any("@" in key for key in found.images["key"])


def test_runs_without_a_common_prompt_or_seed_are_an_error(folders, tmp_path):
    a_stored_run(tmp_path / "cooks", concepts=("cook",), seeds=1, side=8)
    tables = tmp_path / "cooks" / "tables" / "images.parquet"
    images = pd.read_parquet(tables)
    images[images["kind"] != "unrelated"].to_parquet(tables)
    with pytest.raises(
        EvenhandError, match="runs one, cooks share no prompt; compare runs of the same prompts"
    ):
        pooled(folders / "one", tmp_path / "cooks")
    a_stored_run(tmp_path / "later", concepts=("nurse",), seeds=1, side=8)
    tables = tmp_path / "later" / "tables" / "images.parquet"
    images = pd.read_parquet(tables)
    images.assign(seed=images["seed"] + 50).to_parquet(tables)
    with pytest.raises(EvenhandError, match=r"share 3 prompts but no seed, .*use the same seeds"):
        pooled(folders / "one", tmp_path / "later")


def test_images_without_seeds_are_paired_in_their_order(folders, tmp_path):
    for name in ("a", "b"):
        a_stored_run(tmp_path / name, methods=("base", "mist"), concepts=("nurse",), seeds=2, side=8)
        tables = tmp_path / name / "tables" / "images.parquet"
        pd.read_parquet(tables).drop(columns="seed").to_parquet(tables)
    found = pooled(tmp_path / "a", tmp_path / "b")
    assert not found.by_seed and found.slots == 4
    assert found.remarks == [
        "an image list has no seeds, so images of a prompt are paired in the order of the lists; they do "
        "not start from the same noise"
    ]
