"""The renderer of the bundled world: reproducible images of named people and things."""

import numpy as np
import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.bench.mini.world import BACKGROUNDS, render

PEOPLE = np.array([[0, o, o % 2, o % 5, o // 2 % 2, o % 3] for o in range(40)])


def test_the_seed_determines_the_images():
    first = render(PEOPLE, seed=5)
    assert first.shape == (40, 64, 64, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, render(PEOPLE, seed=5))
    assert (first != render(PEOPLE, seed=6)).any(axis=(1, 2, 3)).all()


def test_an_image_does_not_depend_on_later_rows():
    np.testing.assert_array_equal(render(PEOPLE, seed=5)[:7], render(PEOPLE[:7], seed=5))


def test_a_person_shows_the_colour_of_their_tone_on_a_known_background():
    noto_skin = {0: "f9ddbd", 1: "e0bb95", 2: "ba8d68", 3: "a56c43", 4: "70534a"}
    people = np.array([[1, 0, 1, tone, 0, 0] for tone in noto_skin])
    for image, code in zip(render(people, seed=1), noto_skin.values(), strict=True):
        brow = np.median(image[21:30, 24:33].reshape(-1, 3), axis=0)
        np.testing.assert_allclose(brow, list(bytes.fromhex(code)), atol=3)
        assert image[60, 60].astype(np.float32).tolist() in BACKGROUNDS.tolist()


@pytest.mark.parametrize("kind", [2, 3])
def test_objects_and_characters_are_not_occupations(kind):
    thing, person = render(np.array([[kind, 0, 0, 2, 0, 1], [0, 0, 0, 2, 0, 1]]), seed=0)
    assert np.abs(thing.astype(int) - person).mean() > 20


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ([4, 0, 0, 0, 0, 0], "kind"),
        ([0, 40, 0, 0, 0, 0], "index"),
        ([2, 3, 0, 5, 0, 0], "tone"),
        ([0, -1] + [0] * 4, "index"),
    ],
)
def test_a_value_outside_the_world_is_rejected_by_name(row, column):
    with pytest.raises(EvenhandError, match=f"'{column}'"):
        render(np.array([row]), seed=0)
