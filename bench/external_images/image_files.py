"""Reads external images safely, as sRGB bytes.

A file that is not a still image of a usable size gets a status that says why. It counts in the results like
any other image without a label.
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

from evenhand.bench.parsing.regular_file import open_regular
from evenhand.bench.storage.images import ImageStore
from evenhand.methods.base import Images

FORMATS = ("PNG", "JPEG", "WEBP")
"""Supported formats; the format is detected from the content of a file, never from its name."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
"""Suffixes by which images are found that are not in the image list."""

MAX_HASHED_BYTES = 2**33
"""Maximum size of a file that is hashed to name it in the coverage; a larger one stops the audit."""

MAX_BYTES = 128 * 2**20
MAX_PIXELS = 50_000_000
"""Larger files and images are not decoded: a file of a few bytes may declare gigabytes of pixels."""

MIN_SIDE = 16
MAX_ASPECT = 8
"""Maximum aspect ratio: judges that scale the shorter side would enlarge a thinner image enormously."""

BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)
"""Exceptions of Pillow for damaged files."""


class UnusableImageError(ValueError):
    """A file that is not a usable image.

    Attributes:
        status: The reason, as a status of the image table.
    """

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class ImportedImage:
    """The outcome of importing a file.

    Attributes:
        key: SHA-256 of the file, which is the key of the image in the store.
        status: ``"ok"``, or why the image is not usable.
        reason: The status in words.
    """

    key: str
    status: str = "ok"
    reason: str = ""


def import_image(path: Path, store: ImageStore) -> ImportedImage:
    """Copy the image of a file into the store unless it is already there."""
    with open_regular(path, max_bytes=MAX_HASHED_BYTES) as file:
        key = hashlib.file_digest(file, "sha256").hexdigest()
    if store.get(key) is not None:
        return ImportedImage(key)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UnusableImageError("bad_size", f"is larger than {MAX_BYTES // 2**20} MiB")
        store.put(key, decode(path.read_bytes()))
    except UnusableImageError as fault:
        return ImportedImage(key, fault.status, str(fault))
    return ImportedImage(key)


def decode(data: bytes) -> Images:
    """Decode an image file to ``(height, width, 3)`` sRGB bytes.

    Applies the EXIF rotation, converts color profiles to sRGB and 16 bits per channel to 8, and puts
    transparent images on a white background.

    Raises:
        UnusableImageError: The file is not a still PNG, JPEG or WebP image of a usable size and known colors.
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
        raise UnusableImageError("no_image", "is not a PNG, JPEG or WebP image") from fault
    except Image.DecompressionBombError as fault:
        raise UnusableImageError("bad_size", _too_many_pixels()) from fault
    except ImageCms.PyCMSError as fault:
        raise UnusableImageError("unknown_colours", f"has an unusable colour profile ({fault})") from fault
    except BROKEN as fault:
        raise UnusableImageError("damaged", f"is truncated or damaged ({fault})") from fault


def _check(file: Image.Image) -> None:
    short, long = sorted(file.size)
    if short * long > MAX_PIXELS:
        raise UnusableImageError("bad_size", _too_many_pixels())
    if short < MIN_SIDE or long > MAX_ASPECT * short:
        size = f"{file.width} x {file.height} pixels"
        raise UnusableImageError(
            "bad_size",
            f"has {size}; sides must be at least {MIN_SIDE} pixels, the longer at most "
            f"{MAX_ASPECT} times the "
            "shorter",
        )
    frames = getattr(file, "n_frames", 1)
    if frames > 1:
        raise UnusableImageError("animated", f"has {frames} frames; use a still image")


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
        image = _to_srgb(profile, image)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _to_srgb(profile: bytes, image: Image.Image) -> Image.Image:
    """Convert the image to sRGB; unchanged if its profile is already sRGB."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if "srgb" in ImageCms.getProfileDescription(source).lower():
        return image
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=mode)
    if converted is None:
        raise UnusableImageError("unknown_colours", "has an unusable colour profile")
    return converted
