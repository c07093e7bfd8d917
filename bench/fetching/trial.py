"""Checks of everything that a suite needs: weights, judges at work, disk and memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from safetensors import safe_open

from evenhand.bench.doctor import Check
from evenhand.bench.errors import EvenhandError
from evenhand.bench.fetching.assets import Asset, assets_of_suite
from evenhand.bench.fetching.fetch import advice
from evenhand.bench.models.hub import offline
from evenhand.bench.models.loading import find_model
from evenhand.bench.prompts.plan import make_plan
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.bench.results.text import count, size
from evenhand.bench.stages.resources import load_scorer
from evenhand.bench.suites.selection import method_uses
from evenhand.bench.suites.suite import Suite

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
        return Check(name, True, f"{len(getattr(source, 'files', ()))} files are complete")
    except EvenhandError as fault:
        return Check(name, False, advice(asset, str(fault)))
    # A plug-in or a library may raise anything, and all other checks must still run.
    except Exception as fault:
        return Check(name, False, f"fails on a blank image ({type(fault).__name__}: {fault}); report it")


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
        weights = _weights(suite)
    except EvenhandError:
        return Check("memory", True, "not checked, the model is missing")
    available, where = _available()
    needed = round(weights * MARGIN)
    detail = (
        f"the model takes about {size(needed)} in {suite.protocol.precision} with one image per pass, "
        f"{where} has {size(available)}"
    )
    remedy = "" if needed <= available else '; set precision = "bfloat16", or use a device with more memory'
    return Check("memory", needed <= available, detail + remedy)


def _weights(suite: Suite) -> int:
    """Bytes of the model's weights in the precision of the protocol."""
    source = find_model(suite.model)
    files = [source.root / name for name in source.files if name.suffix == ".safetensors"]
    total = 0
    for path in [source.checkpoint] if source.checkpoint else files:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - no mapping
                values = 1
                for edge in file.get_slice(name).get_shape():
                    values *= edge
                total += values
    return total * BYTES[suite.protocol.precision]


def _available() -> tuple[int, str]:
    """Memory of the device that draws, in bytes, and its name."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[1]), torch.cuda.get_device_name()
    if hasattr(os, "sysconf"):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "this machine"
    return 2**63, "this machine"
