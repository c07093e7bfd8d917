"""A run and the cache that it was pushed to, made once for the tests of caches; and tools to forge one."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import ClassVar

import numpy as np
from helpers.paths import TINY
from helpers.shared import shared

from evenhand.bench import evaluate, pull_cache, push_cache
from evenhand.bench.cache.pull import Pulled
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.images import as_png, read_image
from evenhand.methods.base import Intervention, Method, MethodInfo, Task

METHODS = ("base", "eos-swap", "random-attribute-prompt")
"""The methods of the run; the last one only rewrites prompts, so that the baseline draws its images."""


class Mine(Method):
    """A method that is not part of Evenhand."""

    info: ClassVar[MethodInfo] = MethodInfo(
        name="mine",
        version="1",
        title="Mine",
        summary="Nothing.",
        licence="",
        origin="a test",
        family="prompt",
        architectures=("any",),
        attributes="none",
    )

    def fit(self, task: Task) -> Intervention:
        return Intervention()


def a_run() -> Path:
    """A finished run of the tiny suite; must not be modified."""
    return (
        shared("cache-run", lambda folder: evaluate(str(TINY), methods=METHODS, out=folder / "run")) / "run"
    )


def a_cache() -> Path:
    """The cache that the run was pushed to; must not be modified."""
    return shared("cache", lambda folder: push_cache(folder / "cache", run=copy_of_run(folder))) / "cache"


def copy_of_run(folder: Path) -> Path:
    """A copy of the run in a folder, which may be new."""
    return shutil.copytree(a_run(), folder / "run")


def pull(
    cache: Path, run: Path, *, methods: tuple[str | type[Method], ...] = METHODS, **options: int
) -> Pulled:
    """Pull from a cache into a run of the tiny suite."""
    return pull_cache(cache, str(TINY), methods=methods, run=run, progress=Progress(quiet=True), **options)


def files(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by its name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def images(cache: Path, code: str = "*") -> list[Path]:
    """The images of a cache: all, those of the baseline, or those of a method's code."""
    return sorted((cache / "images").glob(f"{code}/*/*/*.png"))


def repaint(path: Path, change: int) -> None:
    """Change one byte of an image, with the digest that then belongs to it, as a forger would."""
    image, status = read_image(path, key=path.stem)
    forged = np.array(image)
    forged[0, 0, 0] = (int(forged[0, 0, 0]) + change) % 256
    path.write_bytes(as_png(path.stem, forged, status=status))


def rename_by_digest(path: Path, data: bytes) -> None:
    """Replace a file of labels by another one with the name that then belongs to it."""
    path.unlink()
    path.with_name(f"{hashlib.sha256(data).hexdigest()}.parquet").write_bytes(data)
