"""Time drawing with the bundled model against the stock pipeline of diffusers, on the CPU.

    python -m evenhand.bench.benchmarks.generation [--pictures 96]

Both draw the same prompts with the same solver, steps, guidance and batch, in this process, one after the
other and in turns. Two ratios are printed: of the time on the clock, which is what a user waits and holds
for an idle machine only, and of the processor's time, which a busy machine disturbs less.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from evenhand.bench.loading import load_model, quiet_loaders
from evenhand.bench.sampler import Sampler
from evenhand.bench.suite import load_suite

ROUNDS = 3
"""Turns; the fastest counts."""


def stock(prompts: Sequence[str], sampler: Sampler) -> np.ndarray:
    """The pictures as diffusers' own pipeline draws them, batch by batch."""
    pipe, protocol = sampler.model.pipeline, sampler.protocol
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = sampler.scheduler()
    made = []
    for start in range(0, len(prompts), protocol.batch):
        batch = list(prompts[start : start + protocol.batch])
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
    """Print pictures a second of both, and the ratios."""
    parser = argparse.ArgumentParser(description="Time drawing with mini against diffusers' pipeline.")
    parser.add_argument("--pictures", type=int, default=96)
    count = parser.parse_args(arguments).pictures
    with quiet_loaders():
        suite = load_suite("mini")
        sampler = Sampler(load_model("mini"), suite.protocol)
        # Its reader cuts texts at the length that the model has, as the pipeline of a user does.
        sampler.model.pipeline.tokenizer.model_max_length = 24
        jobs = ("nurse", "CEO", "mechanic", "teacher", "farmer", "lawyer", "cook", "guard")
        prompts = [f"a photo of a {jobs[n % len(jobs)]}" for n in range(count)]
        turns = [
            (seconds(lambda: stock(prompts, sampler)), seconds(lambda: sampler(prompts, range(count))))
            for _ in range(ROUNDS)
        ]
    difference = np.abs(turns[0][1][2].astype(int) - np.round(turns[0][0][2] * 255)).max()
    if difference > 1:
        sys.exit(f"the pictures differ by {difference:.0f} of 255; they must agree")
    for number, name in enumerate(("clock", "processor")):
        theirs, ours = (min(turn[who][number] for turn in turns) for who in (0, 1))
        sys.stdout.write(
            f"{count} pictures by the {name}: {ours:.1f} s, {count / ours:.1f} a second; "
            f"diffusers' pipeline takes {theirs / ours:.2f} times as long\n"
        )


if __name__ == "__main__":
    main()
