"""The device that draws and judges, and its name: only the same kind gives the same bytes."""

from __future__ import annotations

import platform
from pathlib import Path

import torch


def best_device() -> str:
    """A CUDA device if there is one, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def processor_name(device: torch.device) -> str:
    """The accelerator, or the processor and the vector instructions that torch uses on it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{model_name()}, {instructions()}"


def model_name() -> str:
    """The model of the processor, as far as the system states it; else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor()) or platform.machine()


def instructions() -> str:
    """The vector instructions that torch uses on the processor, for example ``"AVX2"``."""
    return torch.backends.cpu.get_cpu_capability()
