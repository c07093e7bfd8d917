"""Time the closed-form edit of 36 concepts, and switching between methods.

    python -m evenhand.bench.benchmarks.editing [--device cuda] [--tiny]

The problem has the size of Stable Diffusion 1.5: 32 cross-attention projections, 36 edited and 225 preserved
prompts with one text state each. The reference solves it like published code: matrix by matrix, prompt by
prompt, in single precision, with an explicit inverse. Both must give the same projections up to this
precision. On a CPU, times are processor times, summed over all cores.
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
from evenhand.bench.models.unet import as_unet_model
from evenhand.methods.shared.closed_form import ClosedForm

TEXT = 768
"""Size of a text state of Stable Diffusion 1.x."""

WIDTHS = (320, 320, 640, 640, 1280, 1280, 1280, 1280, 1280, 1280, 640, 640, 640, 320, 320, 320)
"""Channels of its cross-attention layers, from the first down block to the last up block."""

CONCEPTS, PRESERVED = 36, 225
LAM, MU = 0.1, 0.1

ROUNDING = 1e-2
"""Tolerance for the relative error of a matrix inverse in single precision."""

T = TypeVar("T")


def problem(device: str, *, tiny: bool, dtype: torch.dtype) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
    """Random projections, edited rows, their target rows, and preserved rows."""
    torch.manual_seed(0)
    shrink = 16 if tiny else 1
    weights = [torch.randn(m // shrink, TEXT // shrink) / 28 for m in WIDTHS for _ in "kv"]
    states = [torch.randn(n, TEXT // shrink) for n in (CONCEPTS, CONCEPTS, PRESERVED)]
    rows, wanted, preserved = (each.to(device, dtype) for each in states)
    return [weight.to(device, dtype) for weight in weights], rows, wanted, preserved


def together(weights: Sequence[Tensor], rows: Tensor, wanted: Tensor, preserved: Tensor) -> list[Tensor]:
    """The implementation of the methods: one factorization for all projections."""
    form = ClosedForm.factor(rows, lam=LAM, preserved=preserved, mu=MU)
    return [form.solve(weight, wanted @ weight.T) for weight in weights]


def one_by_one(weights: Sequence[Tensor], rows: Tensor, wanted: Tensor, preserved: Tensor) -> list[Tensor]:
    """Like published code: sum over prompts and invert a matrix for each projection."""
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
    """Seconds of the fastest call, and the result of the last call."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    best = float("inf")
    for _ in range(repeats):
        _wait(device)
        started = clock()
        found = work()
        _wait(device)
        best = min(best, clock() - started)
    return best, found


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def compare(device: str, *, tiny: bool) -> tuple[float, float]:
    """Seconds of the edit with both implementations.

    Raises:
        SystemExit: Their projections differ.
    """
    exact = problem(device, tiny=tiny, dtype=torch.float64)
    single = problem(device, tiny=tiny, dtype=torch.float32)
    together(*exact)  # warm up
    fast, solved = seconds(lambda: together(*exact), device=device, repeats=5)
    slow, summed = seconds(lambda: one_by_one(*single), device=device)
    for one, other in zip(solved, summed, strict=True):
        error = float(torch.linalg.norm(one - other) / torch.linalg.norm(one))
        if error > ROUNDING:
            sys.exit(f"the implementations differ by {error:.1g} of the norm, expected at most {ROUNDING:g}")
    return fast, slow


def switch(weights: Mapping[str, Tensor], parameters: Mapping[str, Tensor], *, device: str) -> float:
    """Seconds to save the old weights, copy new ones, and restore the old ones."""
    model = as_unet_model(load_model("mini", device=device))
    model.parameters = lambda: dict(parameters)  # type: ignore[method-assign]

    def both() -> None:
        with model.edited(weights):
            return

    both()
    return seconds(both, device=device, repeats=5)[0]


def switch_of(device: str, *, tiny: bool) -> float:
    """Seconds to switch to a method and back, with projections of the same size."""
    weights = problem(device, tiny=tiny, dtype=torch.float32)[0]
    named = {f"unet.{number}": weight for number, weight in enumerate(weights)}
    return switch({name: weight + 1 for name, weight in named.items()}, named, device=device)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the seconds and their ratio."""
    parser = argparse.ArgumentParser(description="Compare the closed-form edit with a loop over layers.")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--tiny", action="store_true", help="a sixteenth of all sizes, as a test")
    given = parser.parse_args(arguments)
    sys.stdout.write("\n".join(report(given.device, tiny=given.tiny)) + "\n")


def report(device: str, *, tiny: bool) -> list[str]:
    """Run all measurements and return lines of output."""
    fast, slow = compare(device, tiny=tiny)
    there_and_back = switch_of(device, tiny=tiny)
    ratio = slow / fast
    return [
        f"edit of {CONCEPTS} concepts in {2 * len(WIDTHS)} matrices with {PRESERVED} preserved prompts on "
        f"{device}: {1e3 * fast:.1f} ms; matrix by matrix {1e3 * slow:.0f} ms, {ratio:.0f} times as long",
        f"switch to a method and back on {device}: {1e3 * there_and_back:.1f} ms",
    ]


if __name__ == "__main__":
    main()
