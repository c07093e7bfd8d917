"""Images outside a judge's domain are refused; what may mislead is said."""

import numpy as np
import pandas as pd
import pytest
from helpers.photo import astronaut, nobody
from PIL import Image

from evenhand.bench.errors import EvenhandError
from evenhand.bench.external_images import image_checks
from evenhand.bench.external_images.image_checks import (
    check_domains,
    distance_notes,
    duplicate_notes,
    panel_notes,
    undetermined_notes,
)
from evenhand.bench.mini import judges as mini
from evenhand.bench.storage.images import ImageStore
from evenhand.bench.storage.tables import Table
from evenhand.metrics.judges.base import ANY, Domain, Judge, JudgeInfo, Reference


class Knows(Judge):
    """A judge that knows some attributes."""

    def __init__(self, name, *attributes, domain=ANY):
        taxonomies = dict.fromkeys(attributes, ("a", "b"))
        texts = dict.fromkeys(("version", "title", "summary", "family", "licence", "origin"), name)
        self.info = JudgeInfo(name=name, taxonomies=taxonomies, **texts)
        self.domain = domain

    def label(self, images):
        return {}


def files(folder, **sides):
    for name, side in sides.items():
        Image.new("RGB", (side, 32)).save(folder / f"{name}.png")
    return [f"{name}.png" for name in sides]


def test_images_larger_than_a_judge_knows_are_refused(tmp_path):
    small = Knows("small", "gender", domain=Domain("drawings", largest_side=64))
    check_domains([small, Knows("any", "gender")], tmp_path, files(tmp_path, a=64, b=33))
    with pytest.raises(EvenhandError) as fault:
        check_domains([small], tmp_path, files(tmp_path, a=64, b=65, c=512))
    assert str(fault.value) == (
        "judge 'small' is made for drawings, and 2 of 3 images are larger (the first is 'b.png', 65 x 32); "
        "its labels of them would be wrong: use --suite photos for photographs"
    )


def test_a_file_that_is_no_image_is_left_to_the_import(tmp_path):
    (tmp_path / "a.png").write_text("text")
    check_domains([Knows("small", "gender", domain=Domain("drawings", largest_side=64))], tmp_path, ["a.png"])


BRIGHT = Domain("dark drawings", reference=Reference("v1", lambda images: images.mean(axis=(1, 2, 3)), 100))


def distances(tmp_path):
    return Table(tmp_path, "distances", keys=("key", "reference"))


def grey(level, *, side=8):
    return np.full((side, side, 3), level, np.uint8)


def test_images_unlike_those_that_a_judge_knows_are_noted(tmp_path):
    shades = dict(zip("abcd", (20, 100, 101, 30), strict=True))
    store = stored(tmp_path, **{name * 64: grey(level) for name, level in shades.items()})
    store.put("e" * 64, grey(10, side=9))
    images = table(model=[name * 64 for name in "abcde"])
    both = [Knows("one", "gender", domain=BRIGHT), Knows("two", "age", domain=BRIGHT)]
    measured = distances(tmp_path)
    assert distance_notes([*both, Knows("any", "gender")], images, store=store, measured=measured) == [
        f"1 of 5 images (such as '{'c' * 64}.png') is unlike dark drawings, for which 'one', 'two' are "
        "made; their labels of these are not reliable"
    ]
    assert distance_notes([Knows("any", "gender")], images, store=store, measured=measured) == []
    assert distance_notes(both, images.iloc[[0, 4]], store=store, measured=measured) == []


def test_no_distance_is_measured_twice(tmp_path):
    def distance(images):
        seen.extend(images[:, 0, 0, 0])
        return np.zeros(len(images))

    seen = []
    store = stored(tmp_path, **{"a" * 64: grey(20), "b" * 64: grey(30)})
    measured = distances(tmp_path)
    for version, expected in (("v1", 2), ("v1", 2), ("v2", 4)):
        judge = Knows("one", "gender", domain=Domain("drawings", reference=Reference(version, distance, 1)))
        distance_notes([judge], table(m=["a" * 64, "b" * 64]), store=store, measured=measured)
        assert len(seen) == expected


def test_of_many_images_some_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(image_checks, "SAMPLE", 3)
    store = stored(
        tmp_path, **{name * 64: grey(level) for name, level in zip("dcba", (200, 9, 9, 150), strict=True)}
    )
    (note,) = distance_notes(
        [Knows("one", "gender", domain=BRIGHT)],
        table(m=[name * 64 for name in "dcba"]),
        store=store,
        measured=distances(tmp_path),
    )
    assert note.startswith(
        f"1 of 3 images that were compared (such as '{'a' * 64}.png') is unlike dark drawings"
    )


def test_images_that_cannot_be_compared_are_not_counted(tmp_path):
    reference = Reference("v1", lambda images: np.array([np.nan, np.nan, 2]), 1)
    store = stored(tmp_path, **{name * 64: grey(9) for name in "abc"})
    with pytest.raises(
        EvenhandError, match=r"1 of 1 image that was compared \(such as .*\) is unlike drawings"
    ):
        distance_notes(
            [Knows("one", "gender", domain=Domain("drawings", reference=reference))],
            table(m=[name * 64 for name in "abc"]),
            store=store,
            measured=distances(tmp_path),
        )


def test_images_that_are_mostly_unlike_those_that_a_judge_knows_are_refused(tmp_path):
    store = stored(tmp_path, **{"a" * 64: grey(200), "b" * 64: grey(0), "c" * 64: grey(150)})
    with pytest.raises(
        EvenhandError, match=r"2 of 3 images .* are unlike dark drawings, for which 'one' is made"
    ):
        distance_notes(
            [Knows("one", "gender", domain=BRIGHT)],
            table(m=[n * 64 for n in "abc"]),
            store=store,
            measured=distances(tmp_path),
        )


def test_every_judge_of_the_bundled_model_declares_its_domain():
    for made in (mini.clip_s, mini.clip_xs, mini.clip_weak, mini.vit, mini.tone_ita):
        assert made().domain.largest_side == 64


def stored(tmp_path, **images):
    store = ImageStore(tmp_path / "images")
    for key, pixels in images.items():
        store.put(key, np.asarray(pixels))
    return store


def table(**models):
    rows = [
        {"file": f"{key}.png", "key": key, "method": model, "status": "ok"}
        for model, keys in models.items()
        for key in keys
    ]
    return pd.DataFrame(rows)


def test_near_duplicates_are_counted_within_a_model(tmp_path):
    cup, cat = nobody()
    photo = astronaut()
    keys = {name: name * 64 for name in "abcde"}
    made = {keys["a"]: photo, keys["b"]: photo[::2, ::2], keys["c"]: cup, keys["d"]: cat, keys["e"]: photo}
    store = stored(tmp_path, **made)
    images = table(m=[keys[name] for name in "abcd"], other=[keys["e"]])
    (note,) = duplicate_notes(images, store)
    first, second = (f"'{keys[name]}.png'" for name in "ab")
    assert note == (
        f"m: 1 image nearly equal to another one, such as {first}, {second}; they count as separate images, "
        "so intervals are too narrow: list each image once"
    )
    images.loc[1, "status"] = "damaged"
    assert duplicate_notes(images, store) == []


def test_attributes_with_one_voting_judge_are_named():
    judges = {one.info.name: one for one in (Knows("x", "gender", "age2"), Knows("y", "gender", "race4"))}
    notes = panel_notes(judges, ["x", "y"], ["gender", "age2", "race4"])
    assert [note.partition(" alone")[0] for note in notes] == [
        "1 judge: age2 rests on 'x'",
        "1 judge: race4 rests on 'y'",
    ]
    assert panel_notes(judges, ["x"], ["gender", "age2"])[0].startswith(
        "1 judge: gender and age2 rest on 'x'"
    )
    assert panel_notes(judges, ["x", "y"], ["gender"]) == []


def test_an_attribute_without_labels_for_most_images_is_named():
    votes = pd.DataFrame(
        {
            "judge": "panel",
            "attribute": ["gender"] * 4 + ["tone"] * 2,
            "status": ["no_face", "no_face", "small_face", "ok", "ok", "no_face"],
        }
    )
    (note,) = undetermined_notes(votes)
    assert note.startswith("gender: 3 of 4 images have no label (most often 'no_face')")
