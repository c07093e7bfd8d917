"""Reading an image of a run for a page: a whole PNG within the run's folder, and no other file."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from evenhand.bench.errors import EvenhandError


def read_image(path: Path, *, folder: Path | None = None) -> Image.Image:
    """The image in RGB.

    A run's tables name its images, and a run may be a stranger's: a page must not show another file of this
    machine, and Pillow must not hand a file to the programs that some of its formats need.

    Args:
        path: The file.
        folder: The folder that it must lie in; any if ``None``.

    Raises:
        EvenhandError: It lies elsewhere, or is no PNG that can be read.
    """
    if folder is not None and not path.resolve().is_relative_to(folder.resolve()):
        raise EvenhandError(f"image {path} lies outside of {folder}; run the suite again to mend its tables")
    try:
        with Image.open(path, formats=["PNG"]) as file:
            return file.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as fault:
        raise EvenhandError(
            f"image {path} cannot be read ({fault}); run the suite again to make it"
        ) from fault
