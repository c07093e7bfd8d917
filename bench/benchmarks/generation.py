"""Time drawing with the bundled model against the stock pipeline of diffusers, on the CPU.

    python -m evenhand.bench.benchmarks.generation [--images 96]

Both draw the same prompts with the same solver, steps and guidance, in this process, one after the other
and in turns. The pipeline is called twice: with batches of the protocol's size, as is best for it, and with
an image a call, as its own examples do. Two ratios are printed for each: of the time on the clock, which is
what a user waits and holds for an idle machine only, and of the processor's time, which a busy machine
disturbs less.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from evenhand.bench.models.loading import load_model, quiet_loaders
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.suites.suite import load_suite

ROUNDS = 3
"""Turns; the fastest counts."""


def stock(prompts: Sequence[str], sampler: Sampler, *, size: int) -> np.ndarray:
    """The images as diffusers' own pipeline draws them, in batches of ``size``."""
    pipe, protocol = sampler.model.pipeline, sampler.protocol
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = sampler.scheduler()
    made = []
    for start in range(0, len(prompts), size):
        batch = list(prompts[start : start + size])
        generators = [torch.Generator("cpu").manual_seed(start + n) for n in range(len(batch))]
        made.append(
            pipe(
                batch,
                num_inference_steps=protocol.steps,
                guidance_scale=protocol.guidance,
                generator=generators,
                height=protocol.height,
                width=protocol.width,
                output_type="np",
            ).images
        )
    return np.concatenate(made)


def seconds(work: Callable[[], np.ndarray]) -> tuple[float, float, np.ndarray]:
    """Time on the clock, time of the processor, and what came out."""
    wall, processor = time.perf_counter(), time.process_time()
    found = work()
    return time.perf_counter() - wall, time.process_time() - processor, found


def main(arguments: Sequence[str] | None = None) -> None:
    """Print images a second of both, and the ratios."""
    parser = argparse.ArgumentParser(description="Time drawing with mini against diffusers' pipeline.")
    parser.add_argument("--images", type=int, default=96)
    count = parser.parse_args(arguments).images
    with quiet_loaders():
        suite = load_suite("mini")
        sampler = Sampler(load_model("mini"), suite.protocol)
        # Its reader cuts texts at the length that the model has, as the pipeline of a user does.
        sampler.model.pipeline.tokenizer.model_max_length = 24
        jobs = ("nurse", "CEO", "mechanic", "teacher", "farmer", "lawyer", "cook", "guard")
        prompts = [f"a photo of a {jobs[n % len(jobs)]}" for n in range(count)]
        size = suite.protocol.batch
        ways: dict[str, Callable[[], np.ndarray]] = {
            "evenhand": lambda: sampler(prompts, range(count)),
            f"diffusers' pipeline, {size} a call": lambda: stock(prompts, sampler, size=size),
            "diffusers' pipeline, one a call": lambda: stock(prompts, sampler, size=1),
        }
        turns = [{name: seconds(way) for name, way in ways.items()} for _ in range(ROUNDS)]
    ours, *theirs = ways
    drawn = turns[0][ours][2].astype(int)
    for name in theirs:
        if (difference := np.abs(drawn - np.round(turns[0][name][2] * 255)).max()) > 1:
            sys.exit(f"the images of {name} differ by {difference:.0f} of 255; they must agree")
    for number, clock in enumerate(("clock", "processor")):
        best = {name: min(turn[name][number] for turn in turns) for name in ways}
        for name in ways:
            sys.stdout.write(
                f"{count} images by the {clock}, {name}: {best[name]:.1f} s, {count / best[name]:.1f} a "
                f"second, {best[name] / best[ours]:.2f} times as long as evenhand\n"
            )


if __name__ == "__main__":
    main()
