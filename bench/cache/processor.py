"""The kind of processor on which the same inputs give the same bytes."""

from __future__ import annotations

import hashlib
import json
import platform
from importlib.metadata import version

import torch

from evenhand.bench.cache.layout import ELSEWHERE
from evenhand.bench.stages.write import PACKAGES
from evenhand.metrics.vision.device import instructions, model_name

_DIGITS = 16


def processor_of(device: torch.device) -> str:
    """A digest of the processor and of the packages that affect images, as in the names of cached images.

    An accelerator is ``elsewhere`` for everybody, because its kernels may round differently every time.
    """
    if device.type != "cpu":
        return ELSEWHERE
    parts = {
        "machine": platform.machine(),
        "model": model_name(),
        "instructions": instructions(),
        "packages": {name: version(name) for name in PACKAGES},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:_DIGITS]
