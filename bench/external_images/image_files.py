"""Reading images that somebody else made: safely, as sRGB bytes, and nothing guessed.

A file that is no still image of a usable size keeps a status of its own, which is counted like every
other reason why an image has no label.
"""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from evenhand.bench.storage.store import ImageStore
from evenhand.methods.base import Images

FORMATS = ("PNG", "JPEG", "WEBP")
"""Formats that are read; a file's format is found from its bytes and never from its name."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
"""Names by which an image that nobody listed is noticed."""

MAX_BYTES = 128 * 2**20
MAX_PIXELS = 50_000_000
"""Larger files and images are not decoded: a few bytes can claim to be gigabytes of pixels."""

MIN_SIDE = 16
MAX_ASPECT = 8
"""A thinner image shows nobody, and judges that scale the shorter side would make it enormous."""

_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)
"""What Pillow's readers raise on damaged files."""


class UnusableImageError(ValueError):
    """A file that gives no image.

    Attributes:
        status: Why, in one word of the image table.
    """

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Taken:
    """What became of a file.

    Attributes:
        key: SHA-256 of its bytes, which is the key of the image in the store.
        status: ``"ok"``, or why there is no image.
        reason: The same in words.
    """

    key: str
    status: str = "ok"
    reason: str = ""


def take_in(path: Path, store: ImageStore) -> Taken:
    """Put the image of a file into the store, unless it is there already."""
    with path.open("rb") as file:
        key = hashlib.file_digest(file, "sha256").hexdigest()
    if store.get(key) is not None:
        return Taken(key)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UnusableImageError("bad_size", f"is larger than {MAX_BYTES // 2**20} MiB")
        store.put(key, decode(path.read_bytes()))
    except UnusableImageError as fault:
        return Taken(key, fault.status, str(fault))
    return Taken(key)


def decode(data: bytes) -> Images:
    """The image in a file's bytes as ``(height, width, 3)`` sRGB bytes.

    The rotation that the file states is applied, colours with another profile are converted to sRGB, 16 bits
    a channel become 8, and what is transparent is laid on white, as a page would show it.

    Raises:
        UnusableImageError: It is no still PNG, JPEG or WebP of a usable size and known colours.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is lower
            with Image.open(io.BytesIO(data), formats=FORMATS) as file:
                _check(file)
                file.load()
                return np.asarray(_srgb(ImageOps.exif_transpose(file)))
    except UnusableImageError:
        raise
    except UnidentifiedImageError as fault:
        raise UnusableImageError("no_image", "is no PNG, JPEG or WebP image") from fault
    except Image.DecompressionBombError as fault:
        raise UnusableImageError("bad_size", _too_many_pixels()) from fault
    except ImageCms.PyCMSError as fault:
        raise UnusableImageError("unknown_colours", f"has an unusable colour profile ({fault})") from fault
    except _BROKEN as fault:
        raise UnusableImageError("damaged", f"is cut off or damaged ({fault})") from fault


def _check(file: Image.Image) -> None:
    short, long = sorted(file.size)
    if short * long > MAX_PIXELS:
        raise UnusableImageError("bad_size", _too_many_pixels())
    if short < MIN_SIDE or long > MAX_ASPECT * short:
        size = f"{file.width} x {file.height} pixels"
        raise UnusableImageError(
            "bad_size",
            f"has {size}; sides need {MIN_SIDE} pixels, the longer at most {MAX_ASPECT} times the shorter",
        )
    frames = getattr(file, "n_frames", 1)
    if frames > 1:
        raise UnusableImageError("animated", f"holds {frames} frames; give one still image")


def _too_many_pixels() -> str:
    return f"has more than {MAX_PIXELS // 10**6} million pixels"


def _srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I"):
        deep = np.asarray(image).astype(np.float64)
        image = Image.fromarray((deep / 257).round().astype(np.uint8))
    elif image.mode == "CMYK" and not profile:
        raise UnusableImageError("unknown_colours", "has CMYK colours without a profile; save it as RGB")
    elif image.mode not in ("L", "RGB", "CMYK"):
        clear = image.has_transparency_data
        image = image.convert("RGBA" if clear else "RGB")
    elif "transparency" in image.info:
        image = image.convert("RGBA")
    if profile:
        image = _through(profile, image)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _through(profile: bytes, image: Image.Image) -> Image.Image:
    """The image in sRGB; untouched where its profile says that it is sRGB already."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if "srgb" in ImageCms.getProfileDescription(source).lower():
        return image
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=mode)
    if converted is None:
        raise UnusableImageError("unknown_colours", "has an unusable colour profile")
    return converted
