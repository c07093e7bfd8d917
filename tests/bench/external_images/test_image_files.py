"""External image files: what is read, how it is converted, and what is rejected."""

import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from evenhand.bench.external_images.image_files import (
    MAX_ASPECT,
    MAX_PIXELS,
    MIN_SIDE,
    UnusableImageError,
    decode,
    import_image,
)
from evenhand.bench.storage.images import ImageStore

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, size=(20, 24, 3), dtype=np.uint8)


def saved(image, kind="PNG", **options) -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def status_of(data: bytes) -> str:
    with pytest.raises(UnusableImageError) as caught:
        decode(data)
    assert "\n" not in str(caught.value)
    return caught.value.status


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_a_lossless_image_keeps_its_bytes(kind, options):
    np.testing.assert_array_equal(decode(saved(COLOURS, kind, **options)), COLOURS)


def test_a_jpeg_decodes_as_in_pillow():
    data = saved(COLOURS, "JPEG", quality=95)
    np.testing.assert_array_equal(decode(data), np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [(1, lambda p: p), (3, lambda p: p[::-1, ::-1]), (6, lambda p: np.rot90(p, -1)), (8, np.rot90)],
)
def test_the_stated_rotation_is_applied(orientation, upright):
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(decode(saved(COLOURS, exif=exif)), upright(COLOURS))


def test_a_palette_image_is_converted_to_its_colours():
    image = Image.fromarray(COLOURS).quantize(16)
    np.testing.assert_array_equal(decode(saved(image)), np.asarray(image.convert("RGB")))


def test_transparency_is_composited_on_white():
    alpha = np.full((20, 24, 1), 255, np.uint8)
    alpha[:5] = 0
    found = decode(saved(np.concatenate([COLOURS, alpha], axis=2)))
    assert (found[:5] == 255).all()
    np.testing.assert_array_equal(found[5:], COLOURS[5:])


def test_a_transparent_palette_colour_is_composited_on_white():
    image = Image.fromarray(np.repeat([[0], [1]], 20, axis=1).repeat(10, axis=0).astype(np.uint8), "P")
    image.putpalette([255, 0, 0, 0, 0, 255])
    found = decode(saved(image, transparency=0))
    assert (found[:10] == 255).all()
    assert (found[10:] == [0, 0, 255]).all()


def test_sixteen_bit_grey_is_reduced_to_eight_bits():
    grey = np.linspace(0, 65535, 20 * 24).astype(np.uint16).reshape(20, 24)
    expected = np.round(grey / 257).astype(np.uint8)
    np.testing.assert_array_equal(decode(saved(grey)), np.stack([expected] * 3, axis=2))


def test_a_grey_image_gets_three_equal_channels():
    np.testing.assert_array_equal(decode(saved(COLOURS[..., 0])), np.repeat(COLOURS[..., :1], 3, axis=2))


def test_other_colour_profiles_are_converted_to_srgb_and_srgb_is_unchanged():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(decode(saved(COLOURS, icc_profile=srgb)), COLOURS)
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert status_of(saved(COLOURS, icc_profile=lab)) == "unknown_colours"


def test_cmyk_without_a_profile_is_not_guessed():
    assert status_of(saved(Image.fromarray(COLOURS).convert("CMYK"), "JPEG")) == "unknown_colours"


@pytest.mark.parametrize("data", [b"", b"%PDF-1.7", b"<svg/>", saved(COLOURS, "BMP"), saved(COLOURS, "GIF")])
def test_only_png_jpeg_and_webp_are_read(data):
    assert status_of(data) == "no_image"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_truncated_image_is_damaged(kind):
    image = RNG.integers(0, 256, size=(64, 64, 3), dtype=np.uint8)
    data = saved(image, kind)
    assert status_of(data[: len(data) * 2 // 3]) in ("damaged", "no_image")


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animated_image_is_rejected(kind):
    frames = [Image.fromarray(COLOURS), Image.fromarray(255 - COLOURS)]
    assert status_of(saved(frames[0], kind, save_all=True, append_images=frames[1:])) == "animated"


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header states this size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("width", "height"),
    [
        (MAX_PIXELS // 5000 + 1, 5000),
        (60_000, 60_000),
        (MIN_SIDE - 1, MIN_SIDE),
        (MIN_SIDE * MAX_ASPECT + 1, MIN_SIDE),
    ],
)
def test_an_unusable_size_is_rejected_before_decoding(width, height):
    assert status_of(bomb(width, height)) == "bad_size"


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 10_000), flip=st.integers(1, 255), kind=st.sampled_from(["PNG", "JPEG", "WEBP"]))
def test_a_flipped_byte_gives_an_image_or_a_status(place, flip, kind):
    data = bytearray(saved(COLOURS, kind))
    data[place % len(data)] ^= flip
    try:
        found = decode(bytes(data))
    except UnusableImageError as fault:
        assert fault.status in ("no_image", "damaged", "bad_size", "animated", "unknown_colours")
    else:
        assert found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] == 3


def test_a_file_is_stored_under_the_digest_of_its_bytes(tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(saved(COLOURS))
    store = ImageStore(tmp_path / "store")
    taken = import_image(path, store)
    assert (taken.key, taken.status) == (hashlib.sha256(path.read_bytes()).hexdigest(), "ok")
    kept = store.get(taken.key)
    assert kept is not None and (kept[0] == COLOURS).all()


def test_a_file_without_an_image_leaves_nothing_in_the_store(tmp_path):
    path = tmp_path / "letter.png"
    path.write_text("dear")
    store = ImageStore(tmp_path / "store")
    taken = import_image(path, store)
    assert (taken.status, taken.reason) == ("no_image", "is not a PNG, JPEG or WebP image")
    assert store.get(taken.key) is None
