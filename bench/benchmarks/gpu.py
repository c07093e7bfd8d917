"""Build, check and time everything that needs an accelerator, in one call.

    python -m evenhand.bench.benchmarks.gpu [--family sd1] [--device cpu --tiny]

Models have the true architectures and random weights. For each family it prints: images a second with
everything included (text, denoising with guidance, decoding, lossless files, two judges), the same of the
stock parts of diffusers at the same batch, compiled and with channels last, which make no file and ask no
judge, and the share of the card's matrix rate that was reached. It checks that networks are not
compiled again when a method's weights come and go. Then it times the closed-form edit.

``--device cpu --tiny`` goes through all of it with very small networks, to see that it runs, and
``--device cpu --pixels 64`` with the true ones and small images.
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
"""The bundled judges; they see every image at their own size."""

ATTRIBUTES = {"gender": ("woman", "man")}

BATCHES: dict[Family, int] = {"sd1": 16, "sdxl": 4}

IMAGES: dict[Family, int] = {"sd1": 256, "sdxl": 32}
"""Drawn in each timing."""


@dataclass(frozen=True)
class Trial:
    """What is timed.

    Attributes:
        family: The architecture.
        device: ``cuda`` or ``cpu``.
        tiny: Whether the networks are very small.
        images: Images of each timing.
        pixels: Side of an image; 0 for the family's own.
    """

    family: Family
    device: str
    tiny: bool
    images: int
    pixels: int = 0

    @property
    def protocol(self) -> Protocol:
        """20 steps of DPM-Solver++ with guidance; two for very small networks or images."""
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
        """A sampler of a new model, with compiled kernels."""
        model = self.model()
        # Without an accelerator graphs are made and run as they are: that shows recompiles too, in seconds.
        backend = INDUCTOR if self.device == "cuda" else "eager"
        return Sampler(model, self.protocol, networks=compiled(model, backend=backend))


def wait(device: str) -> None:
    """Wait for the accelerator."""
    if device == "cuda":
        torch.cuda.synchronize()


def matrix_rate(device: str) -> float:
    """Operations a second of a large matrix product in half precision."""
    side = 8192 if device == "cuda" else 256
    one = torch.randn(side, side, device=device, dtype=torch.bfloat16 if device == "cuda" else torch.float32)
    for _ in range(3):
        one @ one
    wait(device)
    begun, repeats = time.perf_counter(), 20
    for _ in range(repeats):
        one @ one
    wait(device)
    return 2 * side**3 * repeats / (time.perf_counter() - begun)


def prompts(count: int) -> list[str]:
    """Prompts that repeat, as they do in a suite."""
    return [f"a photo of a {('nurse', 'CEO', 'mechanic', 'teacher')[n % 4]}" for n in range(count)]


def draw_and_judge(trial: Trial, sampler: Sampler, folder: Path) -> float:
    """Seconds for all of it: texts, images, files, and two judges' labels."""
    store, table = ImageStore(folder / "images"), Table(folder, "labels", keys=("key", "judge"))
    keys = [f"{number:064x}" for number in range(trial.images)]
    judges = [load_judge(name) for name in JUDGES]
    for judge in judges:
        judge.label(np.zeros((1, trial.protocol.height, trial.protocol.width, 3), dtype=np.uint8))

    def judge_all(some: Sequence[str]) -> None:
        for judge in judges:
            judge_images(
                judge,
                keys=some,
                attributes=ATTRIBUTES,
                store=store,
                table=table,
                progress=Progress(quiet=True),
            )

    begun = time.perf_counter()
    # As the workers of an engine do: what is drawn is judged while the next batches are drawn.
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
    return time.perf_counter() - begun


def stock(trial: Trial, sampler: Sampler) -> float:
    """Seconds of diffusers' own pipeline on the same compiled parts; no file, no judge."""
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
    begun = time.perf_counter()
    for start in range(0, trial.images, protocol.batch):
        call(prompts(trial.images)[start : start + protocol.batch])
    wait(trial.device)
    return time.perf_counter() - begun


def operations(trial: Trial) -> float:
    """Operations of one image: every step of the U-Net with guidance, and decoding."""
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
    """Graphs compiled while a method's weights come and go."""
    from torch._dynamo.utils import counters

    before = counters["stats"]["unique_graphs"]
    if not before:
        sys.exit("no graph was compiled at all; update torch or diffusers")
    weights = {name: value * 1.01 for name, value in sampler.model.cross_attention().items()}
    batch = trial.protocol.batch
    for edit in (Intervention(weights=weights), Intervention()):
        sampler(prompts(batch), range(batch), intervention=edit)
    return int(counters["stats"]["unique_graphs"] - before)


def lines_of(trial: Trial, rate: float) -> Iterator[str]:
    """What is found of one family."""
    sampler = trial.sampler()
    begun, batch = time.perf_counter(), trial.protocol.batch
    sampler(prompts(batch), range(batch))
    wait(trial.device)
    yield f"{trial.family}: built and compiled, first batch after {time.perf_counter() - begun:.0f} s"
    if made := recompiles(trial, sampler):
        sys.exit(f"{trial.family}: {made} graphs were compiled again when weights changed; none should be")
    yield f"{trial.family}: no graph is compiled again when a method's weights come and go"
    with tempfile.TemporaryDirectory() as scratch:
        ours = draw_and_judge(trial, sampler, Path(scratch))
    theirs = stock(trial, sampler)
    del sampler
    share = operations(trial) * trial.images / ours / rate
    yield (
        f"{trial.family}: {trial.images / ours:.2f} images/s with files and two judges; stock parts, "
        f"compiled, without either: {trial.images / theirs:.2f}; ratio {theirs / ours:.2f}; "
        f"{share:.0%} of the matrix rate"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for everything that was found."""
    parser = argparse.ArgumentParser(description="Build, check and time what needs an accelerator.")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="very small networks, to see that it runs")
    parser.add_argument("--pixels", type=int, default=0, help="side of an image; 0 for the family's own")
    parser.add_argument("--family", choices=tuple(BATCHES), help="one of them alone")
    parser.add_argument("--images", type=int, default=0, help="of each timing; 0 for a fitting number")
    given = parser.parse_args(arguments)
    if given.device == "cuda" and not torch.cuda.is_available():
        sys.exit("there is no CUDA device; try it out with --device cpu --tiny")
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
