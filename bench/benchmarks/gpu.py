"""Check and time everything that needs an accelerator.

    python -m evenhand.bench.benchmarks.gpu [--family sd1] [--device cpu --tiny]

Models have the published architectures and random weights. For each family, prints images per second with all
steps (text, denoising with guidance, decoding, lossless files, two judges), images per second of the
diffusers pipeline with the same batch size, compiled and channels-last, without files and judges, and the
reached share of the matrix multiplication rate of the device. Checks that switching the weights of methods
does not recompile networks. Then times the closed-form edit.

``--device cpu --tiny`` runs everything with tiny networks, as a test; ``--device cpu --pixels 64`` with full
networks and small images.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from evenhand.bench.benchmarks import editing
from evenhand.bench.benchmarks.pipelines import SIZE, TINY_SIZE, Family, random_model
from evenhand.bench.models.compilation import INDUCTOR, compiled
from evenhand.bench.models.loading import DTYPES, quiet_loaders
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.models.unet import UNetModel
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.bench.stages.label import judge_images
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.images import ImageStore
from evenhand.bench.storage.tables import Table
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.base import Intervention

JUDGES = ("clip-s", "vit")
"""Two bundled judges; they rescale images to their input size."""

ATTRIBUTES = {"gender": ("woman", "man")}

BATCHES: dict[Family, int] = {"sd1": 16, "sdxl": 4}

IMAGES: dict[Family, int] = {"sd1": 256, "sdxl": 32}
"""Number of images per measurement."""


@dataclass(frozen=True)
class Trial:
    """The settings of a measurement.

    Attributes:
        family: The architecture.
        device: ``cuda`` or ``cpu``.
        tiny: Whether to use tiny networks.
        images: Number of images.
        pixels: Image size in pixels; 0 for the native size.
    """

    family: Family
    device: str
    tiny: bool
    images: int
    pixels: int = 0

    @property
    def protocol(self) -> Protocol:
        """20 steps of DPM-Solver++ with guidance; two steps for tiny networks or small images."""
        small = self.tiny or bool(self.pixels)
        side = self.pixels or (TINY_SIZE if self.tiny else SIZE[self.family])
        batch = 2 if small else BATCHES[self.family]
        steps = 2 if small else 20
        return Protocol(
            version="benchmark",
            steps=steps,
            guidance=7.5,
            width=side,
            height=side,
            batch=batch,
            precision="bfloat16" if self.device == "cuda" else "float32",
            compilation="whole",
        )

    def model(self) -> UNetModel:
        """The model, in half precision on an accelerator."""
        dtype = DTYPES[self.protocol.precision]
        return random_model(self.family, device=self.device, dtype=dtype, tiny=self.tiny)

    def sampler(self) -> Sampler:
        """A sampler with a new, compiled model."""
        model = self.model()
        # On a CPU, graphs are captured but not compiled, which is fast and still shows recompilation.
        backend = INDUCTOR if self.device == "cuda" else "eager"
        return Sampler(model, self.protocol, networks=compiled(model, backend=backend))


def wait(device: str) -> None:
    """Wait for the accelerator."""
    if device == "cuda":
        torch.cuda.synchronize()


def matrix_rate(device: str) -> float:
    """Operations per second of a large matrix product, the fastest of 20; in half precision on a GPU."""
    side = 8192 if device == "cuda" else 1024
    one = torch.randn(side, side, device=device, dtype=torch.bfloat16 if device == "cuda" else torch.float32)
    for _ in range(3):
        one @ one
    seconds = []
    for _ in range(20):
        wait(device)
        started = time.perf_counter()
        one @ one
        wait(device)
        seconds.append(time.perf_counter() - started)
    return 2 * side**3 / min(seconds)


def prompts(count: int) -> list[str]:
    """Repeating prompts, as in a suite."""
    return [f"a photo of a {('nurse', 'CEO', 'mechanic', 'teacher')[n % 4]}" for n in range(count)]


def draw_and_judge(trial: Trial, sampler: Sampler, folder: Path) -> float:
    """Seconds for all steps: texts, images, files, and labels of two judges."""
    store, table = ImageStore(folder / "images"), Table(folder, "labels", keys=("key", "judge"))
    keys = [f"{number:064x}" for number in range(trial.images)]
    judges = {name: load_judge(name) for name in JUDGES}
    for judge in judges.values():
        judge.label(np.zeros((1, trial.protocol.height, trial.protocol.width, 3), dtype=np.uint8))

    def judge_all(some: Sequence[str]) -> None:
        judge_images(
            judges,
            dict.fromkeys(judges, some),
            attributes=ATTRIBUTES,
            store=store,
            table=table,
            progress=Progress(quiet=True),
        )

    started = time.perf_counter()
    # As in an engine: images are judged while the next batches are generated.
    with ThreadPoolExecutor(1) as beside:
        judged = []

        def keep(start: int, images: Any, finite: Any) -> None:
            batch = keys[start : start + len(images)]
            for key, image in zip(batch, images, strict=True):
                store.put(key, image)
            judged.append(beside.submit(judge_all, batch))

        sampler.draw(prompts(trial.images), range(trial.images), on_batch=keep)
        for one in judged:
            one.result()
    return time.perf_counter() - started


def stock(trial: Trial, sampler: Sampler) -> float:
    """Seconds of the diffusers pipeline with the same compiled parts, without files and judges."""
    pipe, protocol = sampler.model.pipeline, trial.protocol
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = sampler.scheduler()
    pipe.unet, pipe.vae.decode = sampler.networks.denoise, sampler.networks.decode
    call = partial(
        pipe,
        num_inference_steps=protocol.steps,
        guidance_scale=protocol.guidance,
        height=protocol.height,
        width=protocol.width,
        output_type="np",
    )
    call(prompts(protocol.batch))
    wait(trial.device)
    started = time.perf_counter()
    for start in range(0, trial.images, protocol.batch):
        call(prompts(trial.images)[start : start + protocol.batch])
    wait(trial.device)
    return time.perf_counter() - started


def operations(trial: Trial) -> float:
    """Floating-point operations per image: all U-Net steps with guidance, and decoding."""
    protocol = trial.protocol
    model = trial.model()
    one = protocol.model_copy(update={"batch": 1, "steps": 1, "compilation": "none"})
    with FlopCounterMode(display=False) as counted:
        Sampler(model, one)._batch([("a nurse", 0)], Intervention(), "")
    whole = float(counted.get_total_flops())
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        scale = 2 ** (len(model.vae.config.block_out_channels) - 1)
        side = protocol.height // scale
        latents = torch.zeros(1, 4, side, side, device=trial.device, dtype=model.vae.dtype)
        model.vae.decode(latents)
    decoding = float(counted.get_total_flops())
    return (whole - decoding) * protocol.steps + decoding


def recompiles(trial: Trial, sampler: Sampler) -> int:
    """Number of graphs compiled while switching the weights of a method."""
    from torch._dynamo.utils import counters

    before = counters["stats"]["unique_graphs"]
    if not before:
        sys.exit("no graph was compiled; update torch or diffusers")
    weights = {name: value * 1.01 for name, value in sampler.model.cross_attention().items()}
    batch = trial.protocol.batch
    for edit in (Intervention(weights=weights), Intervention()):
        sampler(prompts(batch), range(batch), intervention=edit)
    return int(counters["stats"]["unique_graphs"] - before)


def lines_of(trial: Trial, rate: float) -> Iterator[str]:
    """Measure one family and yield lines of output."""
    sampler = trial.sampler()
    started, batch = time.perf_counter(), trial.protocol.batch
    sampler(prompts(batch), range(batch))
    wait(trial.device)
    yield f"{trial.family}: built and compiled, first batch after {time.perf_counter() - started:.0f} s"
    if made := recompiles(trial, sampler):
        sys.exit(f"{trial.family}: {made} graphs were recompiled when weights changed, expected none")
    yield f"{trial.family}: switching the weights of a method does not recompile"
    with tempfile.TemporaryDirectory() as scratch:
        ours = draw_and_judge(trial, sampler, Path(scratch))
    theirs = stock(trial, sampler)
    del sampler
    share = operations(trial) * trial.images / ours / rate
    yield (
        f"{trial.family}: {trial.images / ours:.2f} images/s with files and two judges; diffusers, "
        f"compiled, without both: {trial.images / theirs:.2f}; ratio {theirs / ours:.2f}; "
        f"{share:.0%} of the matrix rate"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all measurements and print the results."""
    parser = argparse.ArgumentParser(description="Check and time everything that needs an accelerator.")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="tiny networks, as a test")
    parser.add_argument("--pixels", type=int, default=0, help="image size; 0 for the native size")
    parser.add_argument("--family", choices=tuple(BATCHES), help="measure only this family")
    parser.add_argument("--images", type=int, default=0, help="images per measurement; 0 for the default")
    given = parser.parse_args(arguments)
    if given.device == "cuda" and not torch.cuda.is_available():
        sys.exit("no CUDA device found; use --device cpu --tiny to test the script")
    rate = matrix_rate(given.device)
    name = torch.cuda.get_device_name() if given.device == "cuda" else "the CPU"
    sys.stdout.write(f"{name}: {rate / 1e12:.2f} TFLOP/s in matrix products\n")
    with quiet_loaders():
        for family in [given.family] if given.family else BATCHES:
            count = given.images or (4 if given.tiny or given.pixels else IMAGES[family])
            trial = Trial(family, given.device, given.tiny, count, given.pixels)
            for line in lines_of(trial, rate):
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
    sys.stdout.write("\n".join(editing.report(given.device, tiny=given.tiny)) + "\n")


if __name__ == "__main__":
    main()
