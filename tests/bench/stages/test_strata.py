"""Strata of images: kind of the prompt, stereotype and model."""

import pandas as pd
import pytest

from evenhand.bench.stages.strata import image_strata, separate_strata, stereotypes

IMAGES = pd.DataFrame(
    [
        ("shared", "mist", "CEO", "neutral"),
        ("shared", "base", "CEO", "neutral"),
        ("edited", "mist", "nurse", "neutral"),
        ("asked", "base", "nurse", "explicit"),
        ("cat", "base", "cat", "unrelated"),
    ],
    columns=["key", "method", "concept", "kind"],
)


def test_an_image_that_methods_share_belongs_to_the_baseline():
    found = image_strata(IMAGES, external=False)
    assert found["model"].to_dict() == {
        "shared": "base",
        "asked": "base",
        "cat": "base",
        "edited": "debiased",
    }
    assert found["kind"]["asked"] == "explicit"


def test_stereotypes_are_those_of_winobias():
    found = image_strata(IMAGES, external=False)["stereotype"]
    assert (found["shared"], found["edited"], found["cat"]) == ("male", "female", "none")
    known = stereotypes()
    assert known.pop("doctor") == "male"  # of the other works' lists
    # The lists of Zhao et al. 2018: 20 occupations of each stereotype.
    assert sorted(known.values()) == ["female"] * 20 + ["male"] * 20


def test_external_images_are_strata_by_the_name_of_their_model():
    assert image_strata(IMAGES[1:], external=True)["model"].to_dict() == {
        "shared": "base",
        "edited": "mist",
        "asked": "base",
        "cat": "base",
    }


@pytest.mark.parametrize("key", ["asked", "cat"])
def test_only_neutral_images_have_a_separate_stereotype_and_model(key):
    found = separate_strata(IMAGES, external=False)
    assert found.loc[key, ["stereotype", "model"]].tolist() == ["", ""]
    assert found.loc["edited"].tolist() == ["neutral", "female", "debiased"]
