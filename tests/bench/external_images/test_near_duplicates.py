"""Nearly equal images are found, however they were saved, and different ones are not."""

import io

import numpy as np
from helpers.photo import astronaut, nobody, resized
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from evenhand.bench.external_images.near_duplicates import DISTANCE, difference_hash, near_duplicates


def saved(image, *, quality):
    data = io.BytesIO()
    Image.fromarray(image).save(data, "JPEG", quality=quality)
    return np.asarray(Image.open(data))


def test_a_photograph_saved_again_or_resized_is_a_near_duplicate_and_others_are_not():
    photo, (cup, cat) = astronaut(), nobody()
    images = {
        "photo": photo,
        "cup": cup,
        "jpeg": saved(photo, quality=70),
        "cat": cat,
        "small": resized(photo, 300),
        "mirrored": photo[:, ::-1],
    }
    hashes = {name: difference_hash(image) for name, image in images.items()}
    assert near_duplicates(hashes) == [("photo", "jpeg", "small")]


def test_equal_images_are_grouped_however_many_there_are():
    cup, cat = (difference_hash(image) for image in nobody())
    many = {f"{number}": cup for number in range(300)} | {"cat": cat}
    (group,) = near_duplicates(many)
    assert group == tuple(f"{number}" for number in range(300))


@given(st.sets(st.integers(0, 255), max_size=DISTANCE + 3), st.integers(0, 2**32 - 1))
def test_hashes_are_near_if_and_only_if_few_bits_differ(flipped, seed):
    bits = np.random.default_rng(seed).random(256) < 0.5
    other = bits.copy()
    other[list(flipped)] ^= True
    assert bool(near_duplicates({"a": bits, "b": other})) == (len(flipped) <= DISTANCE)
