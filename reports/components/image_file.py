"""Reading an image of a run for a page: only a valid PNG inside the run's folder."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image

from evenhand.bench.errors import EvenhandError


def read_image(path: Path, *, folder: Path) -> Image.Image:
    """The image in RGB.

    A run's tables name its images, and a run may be untrusted input: a page must not show another file of
    this machine, and Pillow must not pass a file to the external programs that some of its formats need.

    Args:
        path: The file.
        folder: The folder that must contain the file, and what it links to.

    Raises:
        EvenhandError: The file is outside ``folder``, or not a valid PNG.
    """
    # A loop of links leads nowhere, so not into the folder.
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise EvenhandError(
            f"image {path} is outside the run folder {folder}; replace links with what they point to"
        )
    if path.exists() and not path.is_file():  # a FIFO would block
        raise EvenhandError(f"image {path} is not a regular file; run the suite again")
    try:
        with Image.open(path, formats=["PNG"]) as file:
            return file.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as fault:
        raise EvenhandError(f"image {path} cannot be read ({fault}); run the suite again") from fault
