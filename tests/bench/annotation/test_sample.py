"""Strata, samples and plans of an annotation."""

import numpy as np
import pandas as pd
import pytest
from helpers.stored_run import a_stored_run

from evenhand.bench.annotation.sample import (
    plan_annotation,
    sample_by_kind,
    sample_by_method,
    strata_of,
    with_baseline,
)
from evenhand.bench.errors import EvenhandError
from evenhand.bench.storage.run_folder import RunFolder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Three methods with three neutral images and an explicit one of two occupations."""
    folder = tmp_path_factory.mktemp("stored") / "run"
    a_stored_run(folder, side=8)
    return RunFolder(folder)


@pytest.fixture(scope="module")
def frame(run):
    return strata_of(run, run.spec())


def test_strata_are_stereotype_or_kind_model_and_vote_of_every_image_of_people(run, frame):
    images = run.image_table.read()
    assert set(frame["key"]) == set(images.loc[images["kind"] != "unrelated", "key"])
    assert frame["stratum"].value_counts().to_dict() == {
        "female/base/woman": 3,
        "male/base/woman": 3,
        "explicit/base/man": 2,
        "female/debiased/woman": 4,
        "female/debiased/man": 1,
        "female/debiased/undetermined": 1,
        "male/debiased/woman": 6,
        "explicit/debiased/man": 3,
        "explicit/debiased/woman": 1,
    }


def test_strata_by_method_name_the_method_and_the_kind(run):
    frame = strata_of(run, run.spec(), by_method=True)
    sizes = frame["stratum"].value_counts().to_dict()
    assert sizes["base/neutral/woman"] == 6 and sizes["mist/neutral/man"] == 1
    assert sizes["uce/neutral/undetermined"] == 1 and sizes["uce/explicit/man"] == 2


def test_a_run_without_labels_is_not_finished(run, tmp_path):
    empty = RunFolder(tmp_path / "run")
    empty.root.mkdir()
    empty.initialize(run.spec())
    with pytest.raises(EvenhandError, match="run has no judged images; run the same"):
        strata_of(empty, empty.spec())


def test_explicit_images_are_drawn_besides_the_neutral_ones(frame):
    drawn = sample_by_kind(frame, n=8, explicit=2, min_per_group=0, rng=np.random.default_rng(0))
    kinds = frame.set_index("key")["kind"].reindex(drawn["key"]).value_counts()
    explicit = frame.loc[frame["kind"] == "explicit", "stratum"].nunique()
    assert kinds.to_dict() == {"neutral": 8, "explicit": explicit}
    without = sample_by_kind(frame, n=8, explicit=0, min_per_group=0, rng=np.random.default_rng(0))
    assert len(without) == 8


def test_every_method_has_its_number_of_images_or_all_of_them():
    table = pd.DataFrame(
        [
            (f"{name}{n}", name, "neutral", "woman", name)
            for name, size in (("a", 40), ("b", 5))
            for n in range(size)
        ],
        columns=["key", "method", "kind", "vote", "stratum"],
    )
    drawn = sample_by_method(table, ["a", "b"], n=10, min_per_group=0, rng=np.random.default_rng(0))
    assert drawn["key"].str[0].value_counts().to_dict() == {"a": 10, "b": 5}


def test_the_baseline_comes_first_and_an_unknown_method_is_an_error(run):
    frame, suite = strata_of(run, run.spec(), by_method=True), run.spec()
    assert with_baseline(frame, suite, ["uce"]) == ["base", "uce"]
    assert with_baseline(frame, suite, []) == ["base", "mist", "uce"]
    with pytest.raises(EvenhandError, match="did you mean 'mist'"):
        with_baseline(frame, suite, ["mits"])


def test_a_plan_counts_the_images_that_an_export_draws(run):
    plan = plan_annotation(run.root, methods=["uce"], per_method=6, min_per_group=0)
    assert plan.methods.to_dict("records") == [
        {"method": name, "images": 8, "labelled": 0, "to_label": 6} for name in ("base", "uce")
    ]
    assert plan.groups.groupby("method")["to_label"].sum().to_dict() == {"base": 6, "uce": 6}
    assert plan.groups.groupby("method")["images"].sum().to_dict() == {"base": 8, "uce": 8}
    assert not (run.root / "annotation").exists()
