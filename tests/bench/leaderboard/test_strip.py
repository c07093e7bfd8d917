"""The strip of an entry: chosen by place, exact where it is small, and checked as a stranger's file."""

import hashlib
import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from evenhand.bench.errors import EvenhandError
from evenhand.bench.leaderboard import strip
from evenhand.bench.leaderboard.strip import MAX_BYTES, STRIP_FILE, check_strip, places, read_strip, strip_of
from evenhand.bench.leaderboard.tables import pixel_hash
from evenhand.bench.prompts.plan import make_plan
from evenhand.bench.suites.suite import load_suite
from evenhand.metrics.terms import KINDS

ITEMS = make_plan(load_suite("mini"))[0]
SHOWN = places(ITEMS)


def noise(side, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def table(side, *, failed=()):
    """An image table whose keys are the rows, and the pixels by key."""
    pixels = {str(place): noise(side, place) for place in SHOWN}
    rows = [
        {
            "key": str(place),
            "status": "error" if place in failed else "ok",
            "pixels": pixel_hash(pixels[str(place)]) if place in SHOWN else "",
        }
        for place in range(len(ITEMS))
    ]
    return pd.DataFrame(rows), pixels


def entry_with(folder, data, *, side=64):
    """The part of an entry that lists this file, which is written into its folder."""
    (folder / STRIP_FILE).write_bytes(data)
    spec = SimpleNamespace(protocol={"width": side, "height": side})
    return SimpleNamespace(
        files={STRIP_FILE: hashlib.sha256(data).hexdigest()}, result=SimpleNamespace(spec=spec)
    )


def sheet(width, height, **options):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, options.pop("format", "WEBP"), lossless=True, **options)
    return buffer.getvalue()


def test_four_neutral_and_two_explicit_concepts_are_spread_over_the_plan():
    prompts = [ITEMS[place].prompt for place in SHOWN]
    assert [prompt.kind for prompt in prompts] == ["neutral"] * 4 + ["explicit"] * 2
    assert len({prompt.concept for prompt in prompts[:4]}) == 4
    assert all(ITEMS[place].seed_index == 0 for place in SHOWN) and set(strip.SHOWN) <= set(KINDS)


@pytest.mark.slow
def test_small_images_are_stored_exactly_and_checked_against_the_table(tmp_path):
    images, pixels = table(64)
    entry = entry_with(tmp_path, strip_of(images, ITEMS, pixels.__getitem__))
    shown = read_strip(tmp_path, entry, ITEMS)
    assert [one.prompt for one in shown] == [ITEMS[place].prompt.text for place in SHOWN]
    assert all((one.pixels == pixels[str(place)]).all() for one, place in zip(shown, SHOWN, strict=True))
    check_strip(tmp_path, entry, items=ITEMS, images=images)
    images.loc[SHOWN[2], "pixels"] = pixel_hash(noise(64, seed=1))
    with pytest.raises(EvenhandError, match=rf"another image than row {SHOWN[2]} .*submit the run again"):
        check_strip(tmp_path, entry, items=ITEMS, images=images)


def test_small_images_cannot_be_replaced_by_large_ones_that_are_not_compared(tmp_path):
    images, _ = table(64)
    large, others = table(96)
    entry = entry_with(tmp_path, strip_of(large, ITEMS, others.__getitem__))
    with pytest.raises(EvenhandError, match="shows another image"):
        check_strip(tmp_path, entry, items=ITEMS, images=images)


@pytest.mark.slow
def test_missing_image_is_white_and_not_replaced_by_another(tmp_path):
    images, pixels = table(64, failed=SHOWN[:1])
    entry = entry_with(tmp_path, strip_of(images, ITEMS, pixels.__getitem__))
    assert (read_strip(tmp_path, entry, ITEMS)[0].pixels == 255).all()
    check_strip(tmp_path, entry, items=ITEMS, images=images)
    assert strip_of(table(64, failed=SHOWN)[0], ITEMS, pixels.__getitem__) is None


@pytest.mark.slow
@pytest.mark.parametrize("side", [80, 512])
def test_strip_is_small_for_images_that_compress_worst(tmp_path, side):
    images, pixels = table(side)
    data = strip_of(images, ITEMS, pixels.__getitem__)
    assert len(data) <= MAX_BYTES
    entry = entry_with(tmp_path, data, side=side)
    check_strip(tmp_path, entry, items=ITEMS, images=images)
    assert read_strip(tmp_path, entry, ITEMS)[0].pixels.shape == (min(side, 192),) * 2 + (3,)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"no image", "cannot identify"),
        (sheet(600, 100, format="PNG"), "cannot identify"),
        (sheet(599, 100), "6 images of at most 192 pixels"),
        (sheet(6 * 200, 200), "6 images of at most 192 pixels"),
        (sheet(600, 16000), "6 images of at most 192 pixels"),
        (sheet(600, 100, save_all=True, append_images=[Image.new("RGB", (600, 100), "red")]), "6 images of"),
        (bytes(MAX_BYTES + 1), "150,000 bytes"),
    ],
    ids=["text", "PNG", "odd width", "large", "tall", "animated", "too many bytes"],
)
def test_anything_else_is_refused_in_one_line(tmp_path, data, why):
    with pytest.raises(EvenhandError, match=why):
        read_strip(tmp_path, entry_with(tmp_path, data), ITEMS)


def test_altered_file_is_refused(tmp_path):
    entry = entry_with(tmp_path, sheet(600, 100))
    (tmp_path / STRIP_FILE).write_bytes(sheet(600, 99))
    with pytest.raises(EvenhandError, match="SHA-256 differs"):
        read_strip(tmp_path, entry, ITEMS)
