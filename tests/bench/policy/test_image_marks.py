"""What is marked on an image: changed groups, and groups that an explicit prompt did not get."""

from evenhand.bench.policy.image_marks import changed, disobeyed
from evenhand.bench.results.result import ImageRow


def an_image(labels, *, cell="", kind="neutral"):
    return ImageRow(
        path="a.png",
        method="mist",
        prompt="a nurse",
        concept="nurse",
        kind=kind,
        seed_index=0,
        cell=cell,
        labels=labels,
    )


def test_only_groups_that_both_images_show_can_change():
    base = an_image({"gender": "woman", "tone": "undetermined", "age": "older"})
    other = an_image({"gender": "man", "tone": "dark", "age": "undetermined", "hair": "short"})
    assert changed(other, base) == {"gender": "man"}
    assert changed(base, base) == {}


def test_an_explicit_prompt_is_disobeyed_by_another_group_and_not_by_a_missing_label():
    labels = {"gender": "man", "tone": "undetermined", "age": "older"}
    cell = "gender=woman;tone=dark;age=older"
    assert disobeyed(an_image(labels, cell=cell, kind="explicit")) == {"gender": "woman"}
    assert disobeyed(an_image(labels, cell=cell, kind="over_correction")) == {}
    assert disobeyed(an_image(labels)) == {}
