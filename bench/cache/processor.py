"""The kind of processor on which the same inputs give the same bytes."""

from __future__ import annotations

import hashlib
import json
import platform
from importlib.metadata import version
from pathlib import Path

import torch

from evenhand.bench.cache.layout import ELSEWHERE
from evenhand.bench.stages.write import PACKAGES

_DIGITS = 16


def processor_of(device: torch.device) -> str:
    """A digest of the processor and of the packages that affect images, as in the names of cached images.

    An accelerator is ``elsewhere`` for everybody, because its kernels may round differently every time.
    """
    if device.type != "cpu":
        return ELSEWHERE
    parts = {
        "machine": platform.machine(),
        "model": _model_name(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "packages": {name: version(name) for name in PACKAGES},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def _model_name() -> str:
    """The model of the processor, as far as the system states it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
