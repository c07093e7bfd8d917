"""Strips: chosen by position, one prompt and seed per column, small."""

import base64
import io

import pytest
from helpers.report import a_run, an_estimate
from PIL import Image

from evenhand.bench.errors import EvenhandError
from evenhand.bench.results.lookup import Reading
from evenhand.bench.results.result import ImageRow
from evenhand.reports.run.image_strips import COLUMNS, IMAGES, before_and_after, embedded, strips

JOBS = [f"job {letter}" for letter in "abcdefghijklmnop"]
PAIR = ("base", "mist")


def image(method, concept, seed=0, kind="neutral", **parts):
    fields = {"path": "a.png", "method": method, "prompt": f"a photo of {concept}", "concept": concept}
    return ImageRow(**fields | {"kind": kind, "seed_index": seed, "labels": {"gender": "woman"}} | parts)


@pytest.fixture
def run(tmp_path):
    """Makes a run of these images."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")

    def make(images, *, methods=PAIR):
        return a_run(tmp_path, methods=methods, concepts=JOBS, images=images)

    return make


def test_concepts_are_chosen_by_position_and_not_by_their_labels(run):
    rows = [image(method, job, seed) for method in PAIR for job in JOBS for seed in range(2)]
    other = [row.model_copy(update={"labels": {"gender": "man"}}) for row in rows]
    for images in (rows, other):
        found = strips(run(images), PAIR)
        assert [strip.concept for strip in found] == JOBS[::2]
        assert all(strip.columns == ["seed 0", "seed 1"] for strip in found)


def test_many_methods_have_fewer_strips_and_columns(run):
    methods = [f"m{place}" for place in range(20)]
    rows = [image(method, job, seed) for method in methods for job in JOBS for seed in range(8)]
    found = strips(run(rows, methods=PAIR), methods)
    assert {len(strip.columns) for strip in found} == {COLUMNS[0]}
    assert 0 < sum(len(images) for strip in found for _, images in strip.lines) <= IMAGES


def test_missing_image_leaves_its_place_empty_and_others_say_what_is_perceived(run):
    rows = [image("base", "cook", 0), image("base", "cook", 1), image("mist", "cook", 1, labels={})]
    (strip,) = strips(run(rows), PAIR)
    (_, base), (_, mist) = strip.lines
    assert base[0].alt == "cook, base, seed 0; perceived: gender woman"
    assert mist[0] is None and mist[1].perceived == "perceived: not labelled"


def test_kinds_that_are_shown_elsewhere_are_left_out(run):
    rows = [image("base", "cook"), image("base", "cat", kind="unrelated", labels={})]
    assert [strip.concept for strip in strips(run(rows), PAIR)] == ["cook", "cat"]
    assert [strip.concept for strip in strips(run(rows), PAIR, leave_out=["unrelated"])] == ["cook"]


def test_images_without_people_are_beside_the_measured_change(run):
    whole = run([image(method, "cat", kind="unrelated", labels={}) for method in (*PAIR, "uce")])
    change = an_estimate("preservation_distance", 0.4, judge="", kind="unrelated", low=0.3, high=0.5)
    base, mist = (Reading.of(result) for result in whole.results)
    mist = Reading.of(mist.result.model_copy(update={"estimates": [change]}))
    strip = before_and_after(whole, [base, mist])
    assert strip.notes["base"] == "reference" and strip.notes["mist"].startswith("change ")
    assert "95% interval" in strip.notes["mist"]
    assert (
        before_and_after(whole, [base, Reading.of(whole.results[1])]).notes["mist"] == "change not measured"
    )
    assert before_and_after(whole, [base]) is None
    assert before_and_after(run([image("base", "cook")]), [base, mist]) is None


@pytest.mark.parametrize(("size", "shown"), [((300, 150), (96, 48)), ((40, 30), (40, 30))])
def test_thumbnail_is_scaled_down_but_never_up(size, shown):
    uri = embedded(Image.new("RGB", size, "red"), side=96)
    kind, content = uri.split(",", 1)
    assert kind == "data:image/webp;base64"
    assert Image.open(io.BytesIO(base64.b64decode(content))).size == shown


def test_image_that_cannot_be_read_is_an_error_that_names_it(run):
    with pytest.raises(EvenhandError, match=r"b\.png cannot be read .*; run the suite again"):
        strips(run([image("base", "cook", path="b.png")]), PAIR)
