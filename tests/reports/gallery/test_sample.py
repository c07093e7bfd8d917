"""The sample without scripts: spread over the run by position, with what each image shows."""

import pytest
from helpers.stored_run import METHODS, a_stored_run

from evenhand.reports.gallery.data import Units
from evenhand.reports.gallery.sample import SHOWN, file_of, sample_of


def units(folder, **options):
    run = a_stored_run(folder, **options)
    return Units.of(run.images_frame(), run.results)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return units(tmp_path_factory.mktemp("run"))


def test_small_run_is_shown_whole_with_an_image_per_method(small):
    sample = sample_of(small, {})
    assert len(sample.groups) == sample.of == len(small)
    assert all([shot.method for shot in group.shots] == list(METHODS) for group in sample.groups)


def test_large_run_is_sampled_evenly_from_its_first_prompt(tmp_path):
    large = units(tmp_path, methods=("base",), seeds=11)
    sample = sample_of(large, {})
    assert (len(sample.groups), sample.of) == (SHOWN, 2 * 12 + 1)
    assert [group.seed_index for group in sample.groups[:6]] == [0, 2, 4, 6, 8, 10]
    assert sample.groups[0].prompt == "a photo of a nurse"


def test_shot_says_what_is_perceived_changed_and_disobeyed(small):
    sample = sample_of(small, {})
    _, mist, _ = sample.groups[1].shots
    assert (mist.caption, mist.changed, mist.disobeyed) == ("man · light · adult", "gender", "")
    assert sample.groups[6].shots[1].disobeyed == "gender"


def test_image_is_embedded_where_there_is_a_thumbnail_and_else_shown_from_its_file(small):
    first, second = small.images["key"][:2]
    base, mist, _ = sample_of(small, {first: "AAAA"}).groups[0].shots
    assert base.uri == "data:image/webp;base64,AAAA"
    assert mist.uri == file_of(second) == f"images/{second[:2]}/{second}.png"
