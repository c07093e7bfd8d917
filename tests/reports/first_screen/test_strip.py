"""The images of the first screen are chosen by position, and each column has one prompt and seed."""

from dataclasses import replace

import pytest
from helpers.report import BIAS, a_run
from PIL import Image

from evenhand.bench.results.lookup import Reading
from evenhand.bench.results.result import ImageRow
from evenhand.reports.first_screen.strip import COLUMNS, ROWS_OF_MANY, first_strip

CONCEPTS = [f"job {letter}" for letter in "abcdefgh"]


def image(method, kind, concept, seed=0, **parts):
    fields = {"path": "a.png", "method": method, "prompt": f"{kind} {concept}", "concept": concept}
    labels = {"gender": "woman", "tone": "light", "age": "older"}
    return ImageRow(**fields | {"kind": kind, "seed_index": seed, "labels": labels} | parts)


@pytest.fixture
def strip(tmp_path):
    """Makes the strip of these images."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")

    def make(images, *, methods=tuple(BIAS), many=False):
        run = a_run(tmp_path, methods=methods, concepts=CONCEPTS, images=images)
        return first_strip(run, [Reading.of(result) for result in run.results], many=many)

    return make


def every(kinds=("neutral", "explicit", "unrelated"), concepts=CONCEPTS, methods=tuple(BIAS), seeds=2):
    return [
        image(method, kind, concept, seed)
        for method in methods
        for kind in kinds
        for concept in concepts
        for seed in range(seeds)
    ]


def shown(found):
    return [(column.concept, column.prompt.split()[0]) for column in found.columns]


def test_columns_are_spread_evenly_over_the_concepts_of_both_kinds(strip):
    found = strip(every())
    neutral = [(f"job {letter}", "neutral") for letter in "aceg"]
    assert shown(found) == [*neutral, ("job a", "explicit"), ("job e", "explicit")]
    assert [method for method, _ in found.lines] == list(BIAS) and found.left_out == 0


def test_methods_beyond_the_last_row_are_counted(strip, monkeypatch):
    monkeypatch.setattr("evenhand.reports.first_screen.strip.ROWS", 3)
    found = strip(every())
    assert [method for method, _ in found.lines] == list(BIAS)[:3]
    assert found.left_out == len(BIAS) - 3


def test_choice_does_not_depend_on_the_labels(strip):
    other = [row.model_copy(update={"labels": {"gender": "man"}}) for row in every()]
    assert shown(strip(other)) == shown(strip(every()))


def test_a_kind_alone_fills_all_columns_with_more_seeds_of_few_concepts(strip):
    found = strip(every(kinds=("neutral",), concepts=CONCEPTS[:2], seeds=4))
    assert [concept for concept, _ in shown(found)] == ["job a"] * 3 + ["job b"] * 3
    assert len(found.columns) == sum(COLUMNS.values())
    assert not found.has_explicit
    assert strip([image("base", "explicit", "job a", cell="gender=man")]).has_explicit


def test_many_methods_have_the_baseline_and_one_row(strip):
    found = strip(every(), many=True)
    assert [method for method, _ in found.lines] == ["base", list(BIAS)[1]] and len(
        found.lines
    ) == ROWS_OF_MANY
    assert found.left_out == len(BIAS) - ROWS_OF_MANY


def test_no_images_of_people_give_no_strip(strip):
    assert strip([]) is None
    assert strip(every(kinds=("unrelated",))) is None


def test_missing_image_leaves_its_place_empty(strip):
    rows = [row for row in every() if (row.method, row.concept, row.kind) != ("uce", "job a", "neutral")]
    lines = dict(strip(rows).lines)
    assert lines["uce"][0] is None and lines["base"][0] is not None


def test_only_the_changed_groups_are_said_of_a_method(strip):
    new = {"gender": "man", "tone": "undetermined", "age": "older"}
    rows = [row.model_copy(update={"labels": new}) if row.method == "uce" else row for row in every(seeds=1)]
    lines = dict(strip(rows).lines)
    base, method = lines["base"][0], lines["uce"][0]
    assert (base.groups, base.changed) == ("woman · light · older", False)
    assert (method.groups, method.changed) == ("man", True)
    assert method.alt == "job a, uce, seed 0; perceived: man, older; changed: man"
    assert all(not shot.changed and shot.groups == "" for shot in lines["mist"])


def test_unlabelled_image_is_said_to_be_so(strip):
    rows = [row.model_copy(update={"labels": {"gender": "undetermined"}}) for row in every()]
    assert dict(strip(rows).lines)["base"][0].groups == "not labelled"


def test_disobeyed_prompt_names_what_it_asked_for(strip):
    rows = [
        row.model_copy(update={"cell": "gender=man;age=older"}) if row.kind == "explicit" else row
        for row in every()
    ]
    found = strip(rows)
    assert found.columns[-1].asks == "man · older"
    assert [shot.missed for shot in found.lines[0][1]] == [""] * 4 + ["man"] * 2
    assert replace(found.columns[-1], asks="") == strip(every()).columns[-1]
