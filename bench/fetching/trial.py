"""Checks of everything that a suite needs: weights, judges at work, disk and memory."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open

from evenhand.bench.doctor import Check
from evenhand.bench.errors import EvenhandError
from evenhand.bench.fetching.assets import Asset, assets_of_suite
from evenhand.bench.fetching.fetch import advice
from evenhand.bench.fetching.hub import offline
from evenhand.bench.models.large_models import WEIGHT_BYTES, is_quantized
from evenhand.bench.models.loading import find_model
from evenhand.bench.models.pipelines import U_NETS
from evenhand.bench.models.sources import Source, read_index
from evenhand.bench.prompts.plan import make_plan
from evenhand.bench.prompts.selection import method_uses
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.bench.results.text import count, size
from evenhand.bench.stages.resources import load_scorer
from evenhand.bench.suites.suite import Protocol, Suite

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes per weight of each precision."""

MARGIN = 1.3
"""Memory that drawing needs relative to the weights alone, with one image per pass."""


def examine_suite(suite: Suite, methods: Sequence[str] | None = None) -> Iterator[Check]:
    """Check the model, every judge on one image, the scorer, disk and memory of a run; downloads nothing.

    Args:
        suite: The suite.
        methods: The methods of the run; the suite's defaults if ``None``.
    """
    for asset in assets_of_suite(suite, methods):
        with offline():
            check = _check(asset)
        yield check
    yield _disk(suite, methods)
    with offline():
        memory = _memory(suite)
    yield memory


def _check(asset: Asset) -> Check:
    name = f"{asset.kind} {asset.name}"
    try:
        if asset.kind == "judge":
            load_judge(asset.name).try_out()
            return Check(name, True, "labels an image")
        if asset.kind == "scorer":
            load_scorer(asset.name).try_out()
            return Check(name, True, "embeds an image and a text")
        source = asset.find()
        if isinstance(source, Source) and (damage := _damage(source)):
            return Check(name, False, damage)
        return Check(name, True, f"{len(getattr(source, 'files', ()))} files are complete")
    except EvenhandError as fault:
        return Check(name, False, advice(asset, str(fault)))
    # A plug-in or a library may raise anything, and all other checks must still run.
    except Exception as fault:
        return Check(name, False, f"fails on a blank image ({type(fault).__name__}: {fault}); report it")


def _damage(source: Source) -> str:
    """Which file of weights is not as long as its header says, in one line; empty if all are whole."""
    whole = () if source.checkpoint is None else (source.checkpoint,)
    for path in (*(source.root / name for name in source.files), *whole):
        try:
            if path.suffix == ".safetensors":
                safe_open(path, framework="pt")
        except (SafetensorError, OSError) as fault:
            return f"{path}: file is truncated or damaged ({fault}); remove it and fetch it again"
    return ""


def _disk(suite: Suite, methods: Sequence[str] | None) -> Check:
    protocol = suite.protocol
    images = len(make_plan(suite)[0]) * len(method_uses(suite, methods))
    # PNG compresses photographs to about half, so the pixels are an upper bound.
    most = images * protocol.width * protocol.height * 3
    free = shutil.disk_usage(Path.cwd()).free
    detail = f"{count(images)} images take at most {size(most)}, {size(free)} are free in {Path.cwd()}"
    remedy = "" if most <= free else "; free some space, or run in a folder on another disk"
    return Check("disk for images", most <= free, detail + remedy)


def _memory(suite: Suite) -> Check:
    try:
        source = find_model(suite.model)
        needed = round(_resident(source, suite.protocol) * MARGIN)
    except EvenhandError:
        return Check("memory", True, "not checked, the model is missing")
    except (SafetensorError, OSError):
        return Check("memory", True, "not checked, the model is damaged")
    available, where = _available()
    detail = (
        f"the model takes about {size(needed)} in {_stored_as(suite.protocol)} with one image per pass, "
        f"{where} has {size(available)}"
    )
    whole = str(read_index(source.root).get("_class_name")) not in U_NETS
    more = 'quantization = "int8" or offload = "model", ' if whole else ""
    remedy = f'; set precision = "bfloat16", {more}or use a device with more memory'
    return Check("memory", needed <= available, detail + ("" if needed <= available else remedy))


def _stored_as(protocol: Protocol) -> str:
    """The precision of the weights, and which of them wait in the main memory."""
    stored = protocol.precision if protocol.quantization == "none" else protocol.quantization
    waiting = {"none": "", "model": ", one network at a time,", "layers": ", one layer at a time,"}
    return stored + waiting[protocol.offload]


def _resident(source: Source, protocol: Protocol) -> float:
    """Bytes of the weights that are on the device at once."""
    if source.checkpoint is not None:
        return sum(_counts(source.checkpoint)) * BYTES[protocol.precision]
    networks: dict[str, list[float]] = {}
    for name in (file for file in source.files if file.suffix == ".safetensors"):
        part = name.parts[0]
        per_weight = WEIGHT_BYTES.get(protocol.quantization, 0) if is_quantized(part) else 0
        tensors = [count * (per_weight or BYTES[protocol.precision]) for count in _counts(source.root / name)]
        networks.setdefault(part, []).extend(tensors)
    if protocol.offload == "layers":
        return max(map(max, networks.values()), default=0)
    return (
        max(map(sum, networks.values()), default=0)
        if protocol.offload == "model"
        else sum(map(sum, networks.values()))
    )


def _counts(path: Path) -> list[int]:
    """The number of values of every tensor of a file."""
    with safe_open(path, framework="pt") as file:
        return [math.prod(file.get_slice(name).get_shape()) for name in file.keys()]  # noqa: SIM118


def _available() -> tuple[int, str]:
    """Memory of the device that draws, in bytes, and its name."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[1]), torch.cuda.get_device_name()
    if hasattr(os, "sysconf"):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "this machine"
    return 2**63, "this machine"
