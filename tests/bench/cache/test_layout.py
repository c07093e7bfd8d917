"""What is found in the names of a cache's files."""

import pytest

from evenhand.bench.cache.layout import (
    BASELINE,
    ELSEWHERE,
    FORMAT_FILE,
    Contents,
    check_size,
    fit_names,
    image_name,
    is_new,
    label_name,
    processor_in,
)
from evenhand.bench.errors import EvenhandError

KEY, OTHER, HERE, THERE = "ab" * 32, "cd" * 32, "01" * 8, "ff" * 8


def test_images_labels_and_complete_fits_are_found_by_their_names():
    names = [image_name(BASELINE, HERE, KEY), label_name(OTHER, KEY), *fit_names(OTHER), *fit_names(KEY)[:2]]
    found = Contents.of(dict.fromkeys(names, 1))
    assert found.processors == {(BASELINE, KEY): [HERE]}
    assert found.labels == {OTHER: [label_name(OTHER, KEY)]}
    assert found.fits == {OTHER}, "a fit without its cost is not complete"


@pytest.mark.parametrize(
    "name",
    [
        f"images/{BASELINE}/{HERE}/ab/../{KEY}.png",
        f"images/../{HERE}/ab/{KEY}.png",
        f"images/{BASELINE}/{HERE}/ab/{KEY}.png\n",
        f"images/{BASELINE}/{HERE}/ab/{KEY.upper()}.png",
        f"/images/{BASELINE}/{HERE}/ab/{KEY}.png",
        f"labels/{KEY}/../../{KEY}.parquet",
        f"fits/{KEY}/intervention.pkl",
        "images",
        "é",
    ],
)
def test_other_names_are_left_out(name):
    found = Contents.of({name: 1})
    assert (found.processors, found.labels, found.fits) == ({}, {}, set())


def test_an_image_of_this_kind_of_processor_is_preferred():
    names = [image_name(BASELINE, place, KEY) for place in (ELSEWHERE, THERE, HERE)]
    found = Contents.of(dict.fromkeys(names, 1))
    assert processor_in(found.image(BASELINE, KEY, processor=HERE)) == HERE
    assert processor_in(found.image(BASELINE, KEY, processor="00" * 8)) in (ELSEWHERE, THERE, HERE)
    assert found.image("00" * 8, KEY, processor=HERE) == "", "another code draws other images"


def test_only_an_empty_place_can_become_a_cache():
    assert is_new([]) and is_new(["README.md", ".gitattributes"])
    assert not is_new(["suite.toml"]) and not is_new([FORMAT_FILE])


def test_a_file_above_its_limit_is_refused_before_it_is_read():
    contents = Contents.of({"a": 10})
    check_size(contents, "a", max_bytes=10)
    with pytest.raises(EvenhandError, match="a in the cache has 10 bytes, and at most 9 are allowed"):
        check_size(contents, "a", max_bytes=9)
