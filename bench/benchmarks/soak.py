"""Checks that a long run does not leak memory or open files.

``python bench/benchmarks/soak.py`` generates 3,000 images of the bundled model with one step each, labels
them with four judges, and monitors its own process.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evenhand.bench import evaluate
from evenhand.bench.stages.progress import Progress
from evenhand.bench.suites.suite import Suite, load_suite

BOUND = 6_000
"""Maximum growth of memory per image, in bytes; a decoded image has 12,288."""

SETTLING = 0.1
"""Share of a stage that is ignored, until buffers and caches have their final size."""

STAGES = ("generate", "judge")
"""Stages that process image by image; the others hold tables of all images by design."""


@dataclass(frozen=True)
class Look:
    """A measurement of the process.

    Attributes:
        done: Finished units of the stage.
        memory: Resident bytes.
        files: Open files.
    """

    done: int
    memory: int
    files: int


def look(done: int) -> Look:
    """Measure the process, after returning free memory to the system; only glibc on Linux."""
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return Look(done, pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir("/proc/self/fd")))  # noqa: PTH208


class Watch(Progress):
    """Measures the process whenever units are finished."""

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(quiet=quiet)
        self.looks: dict[str, list[Look]] = {}

    def start(self, label: str, total: int) -> None:
        """Start a stage."""
        super().start(label, total)
        self._stage = self.looks.setdefault(label.rsplit(": ", 1)[-1], [])

    def advance(self, n: int = 1) -> None:
        """Count finished units."""
        super().advance(n)
        self._stage.append(look((self._stage[-1].done if self._stage else 0) + n))


@dataclass(frozen=True)
class Growth:
    """Growth of memory and open files in one stage.

    Attributes:
        stage: The stage.
        units: Number of images generated, or labels.
        slope: Growth of memory per unit in bytes: between the minimum of the first and that of the last
            third, so that images in progress do not count.
        memory: Minimum resident bytes in the last third.
        files: Minimum and maximum number of open files.
    """

    stage: str
    units: int
    slope: float
    memory: int
    files: tuple[int, int]

    @classmethod
    def of(cls, stage: str, looks: Sequence[Look]) -> Growth:
        """The growth in a stage after the ignored part."""
        settled = [each for each in looks if each.done >= SETTLING * looks[-1].done]
        third = len(settled) // 3
        early, late = (
            min(part, key=lambda each: each.memory) for part in (settled[:third], settled[-third:])
        )
        slope = (late.memory - early.memory) / (late.done - early.done)
        files = [each.files for each in settled]
        return cls(stage, looks[-1].done, slope, late.memory, (min(files), max(files)))


def suite_of(images: int) -> Suite:
    """Suite ``mini-quick`` with about ``images`` images, one step each, for one method."""
    quick = load_suite("mini-quick")
    first = quick.prompts[0]
    prompts = len(first.concepts) * len(first.templates)
    many = first.model_copy(update={"seeds": -(-images // prompts)})
    return quick.model_copy(
        update={
            "name": "soak",
            "protocol": quick.protocol.model_copy(update={"version": "soak-1", "steps": 1}),
            "prompts": (many, *quick.prompts[1:]),
        }
    )


def soak(images: int, *, out: Path, quiet: bool = False) -> list[Growth]:
    """Run the test in a new folder; returns the growth of every stage in :data:`STAGES`."""
    watch = Watch(quiet=quiet)
    evaluate(suite_of(images), methods=["base"], out=out, progress=watch)
    return [Growth.of(stage, watch.looks[stage]) for stage in STAGES]


def main() -> None:
    """Run the test, print the results, and exit with 1 if memory grows too much."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=3000, help="images to generate (default: 3000)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found = soak(chosen.images, out=Path(scratch) / "run")
    for each in found:
        least, most = each.files
        sys.stdout.write(
            f"{each.stage}: {each.units} units, {each.slope / 1e3:+.2f} kB each, "
            f"{each.memory / 1e6:.0f} MB minimum, {least} to {most} open files\n"
        )
    sys.exit(max(each.slope for each in found) > BOUND)


if __name__ == "__main__":
    main()
