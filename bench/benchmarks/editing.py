"""Time the closed-form edit of 36 concepts, and the switch from one method to another.

    python -m evenhand.bench.benchmarks.editing [--device cuda] [--tiny]

The problem has the true sizes of Stable Diffusion 1.5: 32 projections of the cross-attention, 36 edited and
225 preserved prompts with one text state each. The baseline solves the same problem as released code does:
matrix by matrix, prompt by prompt, in single precision, with an inverse each. Both must give the same
projections up to that precision. On the CPU, seconds are of the processor, all cores added up.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from evenhand.bench.models.loading import load_model
from evenhand.bench.models.unet import opened
from evenhand.methods.shared.closed_form import ClosedForm

TEXT = 768
"""Width of a text state of Stable Diffusion 1.x."""

WIDTHS = (320, 320, 640, 640, 1280, 1280, 1280, 1280, 1280, 1280, 640, 640, 640, 320, 320, 320)
"""Channels of its cross-attentions, from the first block down to the last one up; each has a K and a V."""

CONCEPTS, PRESERVED = 36, 225
LAM, MU = 0.1, 0.1

ROUNDING = 1e-2
"""Relative error that single precision may cause in a matrix that is inverted."""

T = TypeVar("T")


def problem(device: str, *, tiny: bool, dtype: torch.dtype) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
    """Projections, edited rows, rows that they shall look like, and preserved rows; all at random."""
    torch.manual_seed(0)
    shrink = 16 if tiny else 1
    weights = [torch.randn(m // shrink, TEXT // shrink) / 28 for m in WIDTHS for _ in "kv"]
    states = [torch.randn(n, TEXT // shrink) for n in (CONCEPTS, CONCEPTS, PRESERVED)]
    rows, wanted, preserved = (each.to(device, dtype) for each in states)
    return [weight.to(device, dtype) for weight in weights], rows, wanted, preserved


def together(weights: Sequence[Tensor], rows: Tensor, wanted: Tensor, preserved: Tensor) -> list[Tensor]:
    """As the methods do it: one factorisation for all projections."""
    form = ClosedForm.factor(rows, lam=LAM, preserved=preserved, mu=MU)
    return [form.solve(weight, wanted @ weight.T) for weight in weights]


def one_by_one(weights: Sequence[Tensor], rows: Tensor, wanted: Tensor, preserved: Tensor) -> list[Tensor]:
    """As released code does it: each projection sums over the prompts and inverts its own matrix."""
    edited = []
    for weight in weights:
        left = LAM * weight
        right = LAM * torch.eye(weight.shape[1], dtype=weight.dtype, device=weight.device)
        for row, target in zip(rows, wanted, strict=True):
            left += torch.outer(weight @ target, row)
            right += torch.outer(row, row)
        for row in preserved:
            left += MU * torch.outer(weight @ row, row)
            right += MU * torch.outer(row, row)
        edited.append(left @ torch.linalg.inv(right))
    return edited


def seconds(work: Callable[[], T], *, device: str, repeats: int = 1) -> tuple[float, T]:
    """Seconds of the fastest of some calls, and what the last of them gave."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    best = float("inf")
    for _ in range(repeats):
        _wait(device)
        begun = clock()
        found = work()
        _wait(device)
        best = min(best, clock() - begun)
    return best, found


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def compare(device: str, *, tiny: bool) -> tuple[float, float]:
    """Seconds of the edit by both ways.

    Raises:
        SystemExit: They give other projections.
    """
    exact = problem(device, tiny=tiny, dtype=torch.float64)
    single = problem(device, tiny=tiny, dtype=torch.float32)
    together(*exact)  # the first call pays for starting the libraries
    fast, solved = seconds(lambda: together(*exact), device=device, repeats=5)
    slow, summed = seconds(lambda: one_by_one(*single), device=device)
    for one, other in zip(solved, summed, strict=True):
        error = float(torch.linalg.norm(one - other) / torch.linalg.norm(one))
        if error > ROUNDING:
            sys.exit(f"the two forms differ by {error:.1g} of the norm; they must agree")
    return fast, slow


def switch(weights: Mapping[str, Tensor], parameters: Mapping[str, Tensor], *, device: str) -> float:
    """Seconds to keep the old values, copy new ones in, and restore the old ones."""
    model = opened(load_model("mini", device=device))
    model._parameters = lambda: dict(parameters)  # type: ignore[method-assign]

    def both() -> None:
        with model.edited(weights):
            return

    both()
    return seconds(both, device=device, repeats=5)[0]


def switch_of(device: str, *, tiny: bool) -> float:
    """Seconds to switch to a method and back, in a model with the same projections."""
    weights = problem(device, tiny=tiny, dtype=torch.float32)[0]
    named = {f"unet.{number}": weight for number, weight in enumerate(weights)}
    return switch({name: weight + 1 for name, weight in named.items()}, named, device=device)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the seconds and their ratio."""
    parser = argparse.ArgumentParser(description="Time the closed-form edit against the form by layers.")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--tiny", action="store_true", help="a sixteenth of every width, to try it out")
    given = parser.parse_args(arguments)
    sys.stdout.write("\n".join(report(given.device, tiny=given.tiny)) + "\n")


def report(device: str, *, tiny: bool) -> list[str]:
    """What is found, in lines."""
    fast, slow = compare(device, tiny=tiny)
    there_and_back = switch_of(device, tiny=tiny)
    return [
        f"edit of {CONCEPTS} concepts in {2 * len(WIDTHS)} matrices with {PRESERVED} preserved prompts on "
        f"{device}: {1e3 * fast:.1f} ms; matrix by matrix {1e3 * slow:.0f} ms, {slow / fast:.0f} times that",
        f"switch to a method and back on {device}: {1e3 * there_and_back:.1f} ms",
    ]


if __name__ == "__main__":
    main()
