"""The image store: content-addressed, lossless images.

Every image file has the key of the image and a digest of its pixels. Damaged, altered or misplaced images are
therefore detected, and regenerated.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
import struct
import zlib
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, PngImagePlugin

from evenhand.bench.errors import EvenhandError
from evenhand.bench.parsing.regular_file import read_regular
from evenhand.bench.storage.files import write_atomically
from evenhand.bench.storage.image_index import ImageIndex, file_stamp

if TYPE_CHECKING:
    from evenhand.methods.base import Images

_log = logging.getLogger(__name__)

_KEY, _DIGEST, _STATUS = "evenhand-key", "evenhand-digest", "evenhand-status"

INDEX = "index.txt"
"""The file beside the images that lists which of them were verified. It depends on file times and is not a
result."""

_MAX_BYTES = 2**28
"""Maximum size of an image file: more than the largest image that a suite may draw takes uncompressed."""

_KEY_FORM = re.compile(r"\w+")


def as_png(key: str, image: Images, *, status: str = "ok") -> bytes:
    """The file of an image, which also holds its key, its status and a digest of all three."""
    note = PngImagePlugin.PngInfo()
    note.add_text(_KEY, key)
    note.add_text(_STATUS, status)
    note.add_text(_DIGEST, _digest(key, status, image))
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", pnginfo=note, compress_level=1)
    return buffer.getvalue()


def read_image(
    path: Path, *, key: str, max_bytes: int = _MAX_BYTES, size: tuple[int, int] | None = None
) -> tuple[Images, str]:
    """The image in a file of :func:`as_png`, and its status.

    Args:
        path: The file.
        key: The key that the image must have.
        max_bytes: Maximum size of the file.
        size: Width and height that the image must have; any if ``None``. A small file may state a huge image.

    Raises:
        OSError: The file cannot be opened, is not regular, or is larger.
        ValueError: It is not an image with this key, or is truncated or altered.
    """
    data = read_regular(path, max_bytes=max_bytes)
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as file:
            if size is not None and (file.size, file.mode) != (size, "RGB"):
                raise ValueError(f"it has {file.size[0]} x {file.size[1]} pixels in mode {file.mode}")
            file.load()
            note = getattr(file, "text", {})
            image = np.asarray(file)
    except (OSError, SyntaxError, Image.DecompressionBombError) as fault:
        raise ValueError(f"it is not an image: {fault}") from fault
    status = note.get(_STATUS, "")
    if note.get(_KEY) != key or note.get(_DIGEST) != _digest(key, status, image) or not _is_whole_png(data):
        raise ValueError("its key or digest does not match its content")
    return image, status


class ImageStore:
    """Images by key in sharded folders: ``images/ab/<key>.png``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: str) -> Path:
        """Path of the image with this key, whether it exists or not.

        Raises:
            EvenhandError: The key is not valid; an untrusted key could point outside the folder.
        """
        return self.root / self._below(key)

    def relative_path(self, key: str) -> str:
        """The path for the image table: relative to the run folder."""
        return f"{self.root.name}/{self._below(key)}"

    def _below(self, key: str) -> str:
        # Strings, not paths: there may be a million of them, and path objects take ten times as long.
        if not _KEY_FORM.fullmatch(key):
            raise EvenhandError(
                f"image keys must be letters and digits, got {key!r:.60}; recreate the tables of the run"
            )
        return f"{key[:2]}/{key}.png"

    def put(self, key: str, image: Images, *, status: str = "ok") -> None:
        """Store a ``(height, width, 3)`` image; ``status`` is ``"error"`` if it had non-finite pixels."""
        write_atomically(self.path(key), as_png(key, image, status=status))

    def remove(self, keys: Iterable[str]) -> None:
        """Delete images; those that do not exist are left out."""
        for key in keys:
            self.path(key).unlink(missing_ok=True)

    def get(self, key: str) -> tuple[Images, str] | None:
        """The image and its status, or ``None`` if it is missing, truncated or altered."""
        path = self.path(key)
        try:
            return read_image(path, key=key)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as fault:
            _log.info("%s: %r", path, fault)
        _log.warning("%s: image is truncated or altered, treated as missing", path)
        return None

    @cached_property
    def _index(self) -> ImageIndex:
        return ImageIndex(self.root / INDEX)

    def statuses(self, keys: Iterable[str]) -> dict[str, str]:
        """Status of every image of ``keys`` that exists and is valid; every file is decoded only once."""
        found: dict[str, str] = {}
        verified: dict[str, tuple[str, str]] = {}
        root = str(self.root)
        for key in keys:
            stamp = file_stamp(f"{root}/{self._below(key)}")
            status = self._index.status(key, stamp) if stamp else None
            if stamp and status is None and (stored := self.get(key)) is not None:
                status = stored[1]
                verified[key] = stamp, status
            if status is not None:
                found[key] = status
        self._index.add(verified)
        return found

    def remember(self, statuses: Mapping[str, str]) -> None:
        """Add images that were just written, as keys to statuses, to the index of :meth:`statuses`."""
        self._index.add({key: (file_stamp(self.path(key)), status) for key, status in statuses.items()})


def _is_whole_png(data: bytes) -> bool:
    """Whether all chunk checksums are right and nothing follows the last chunk; Pillow checks neither."""
    place, kind = len(b"\x89PNG\r\n\x1a\n"), b""
    while place + 12 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + size
        if zlib.crc32(data[place + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            return False
        place = end
    return kind == b"IEND" and place == len(data)


def _digest(key: str, status: str, image: Images) -> str:
    head = f"{key}\n{status}\n{image.shape}\n".encode()
    return hashlib.sha256(head + np.ascontiguousarray(image).tobytes()).hexdigest()
