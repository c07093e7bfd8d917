"""Checks of the installation: versions, device, disk space, plug-ins, and whether the bundled model loads."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from evenhand.bench.errors import EvenhandError
from evenhand.bench.registry.entry_points import JUDGES, METHODS, METRICS, PROMPTS, SUITES

PACKAGES = ("torch", "diffusers", "transformers", "open_clip_torch", "pandas", "pyarrow", "pydantic")
"""Packages whose versions affect the results most."""

LOW_DISK_GB = 2.0
"""Less free space than this fails the check."""


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: What was checked.
        ok: Whether the check passed.
        detail: What was found and, if the check failed, what to do.
    """

    name: str
    ok: bool
    detail: str


def examine() -> Iterator[Check]:
    """Run all checks, one after the other."""
    yield Check(
        "evenhand", True, f"{version('evenhand')} on Python {platform.python_version()}, {platform.machine()}"
    )
    yield Check("packages", True, ", ".join(f"{name} {version(name)}" for name in PACKAGES))
    yield Check("device", True, _device())
    yield _disk(Path.cwd())
    for registry in (METHODS, JUDGES, METRICS, SUITES, PROMPTS):
        for name in registry.names():
            try:
                registry.get(name)
            except EvenhandError as fault:
                yield Check(f"{registry.kind} {name}", False, str(fault))
    yield _bundled_model()


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, {torch.cuda.mem_get_info()[1] / 1e9:.0f} GB"
    return f"CPU, {torch.get_num_threads()} threads"


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free / 1e9
    remedy = "" if free >= LOW_DISK_GB else "; free some space before a run"
    return Check("disk", free >= LOW_DISK_GB, f"{free:.1f} GB free in {folder}{remedy}")


def _bundled_model() -> Check:
    from evenhand.bench.models.loading import list_models, load_model

    name = list_models()[0]
    try:
        model = load_model(name)
    except EvenhandError as fault:
        return Check("bundled model", False, f"{fault}; reinstall evenhand")
    width, height = model.size
    return Check("bundled model", True, f"{name}, revision {model.revision[:12]}, {width} x {height} pixels")
