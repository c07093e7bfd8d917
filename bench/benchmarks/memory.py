"""Count the memory that models of full size need, without an accelerator and without weights.

    python -m evenhand.bench.benchmarks.memory [--page docs/full-size.md] [--model "FLUX.1-dev"]

The networks have the published architectures and no values: torch computes the shapes of all tensors and
tracks which of them exist at the same time. Attention counts as a fused kernel, which keeps no scores. What a
device needs besides (libraries, fragments, work space of its kernels) is not counted; :data:`RESERVE` stands
for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor, nn

from evenhand.bench.benchmarks.architectures import ARCHITECTURES, Architecture, Make, qwen25_vl
from evenhand.bench.models.memory import MAX_PIXELS
from evenhand.bench.parsing.marked_page import fill

GIB = 2**30

CARDS = (24, 40, 80)
"""Memory of accelerators, sold as GB; a GB of a card is a GiB."""

RESERVE = 1.5
"""GiB of a card that are left for what is not counted."""

BATCH = 8
"""Batch of the bundled suites."""

CHUNKS = (4, 2, 1)
"""Images that finetuning draws with gradients at once; its default is 4."""


@contextmanager
def _meta() -> Iterator[None]:
    """Tensors without values, in half precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("meta"):
            yield
    finally:
        torch.set_default_dtype(before)


def _frozen(network: Any) -> Any:
    """The network without gradients of its weights, which the tracker can only follow if they exist."""
    for weight in network.parameters():
        weight.register_post_accumulate_grad_hook(lambda weight: setattr(weight, "grad", None))
    return network


def count(network: Make) -> int:
    """Number of weights of a network."""
    with _meta():
        return sum(weight.numel() for weight in network().parameters())


def peak(run: Callable[[], Any], *, gradients: bool = False) -> float:
    """GiB of the tensors that exist at the same time at most, without weights."""
    # Private to torch.distributed, but the only tracker that knows tensors without values.
    from torch.distributed._tools.mem_tracker import MemTracker

    tracker = MemTracker()
    with _fused_attention(), tracker, torch.set_grad_enabled(gradients):
        run()
    # Some networks keep small buffers elsewhere.
    kinds = tracker.get_tracker_snapshot("peak")[torch.device("meta")]
    bytes_of = {str(getattr(kind, "value", kind)): size for kind, size in kinds.items()}
    return float(bytes_of["Total"] - bytes_of["Parameter"]) / GIB


@contextmanager
def _fused_attention() -> Iterator[None]:
    before = nn.functional.scaled_dot_product_attention
    nn.functional.scaled_dot_product_attention = _fused
    try:
        yield
    finally:
        nn.functional.scaled_dot_product_attention = before


class _Fused(torch.autograd.Function):
    """The shapes of attention that stores its inputs and its output, not the scores."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(query, key, value)
        return query.new_empty(*query.shape[:-1], value.shape[-1])

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.empty_like(saved) for saved in ctx.saved_tensors)


def _fused(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Tensor:
    result: Tensor = _Fused.apply(query, key, value)  # type: ignore[no-untyped-call]
    return result


def weights(model: Architecture, *, bits: int = 16) -> float:
    """GiB of all weights; with 8 or 4 bits, those of denoiser and text encoders are quantized."""
    quantized = count(model.denoiser) + sum(map(count, model.encoders))
    return (quantized * bits / 8 + count(model.decoder) * 2) / GIB


def denoising(model: Architecture, images: int) -> float:
    """GiB of activations of one step."""
    with _meta():
        network = model.denoiser()
        return peak(lambda: network(**model.inputs(model.rows * images)))


def decoding(model: Architecture, images: int) -> float:
    """GiB of activations of decoding these images, in the parts in which they are decoded."""
    at_once = min(images, max(1, MAX_PIXELS // model.side**2))
    with _meta():
        network = model.decoder()
        return peak(lambda: network.decode(model.latents(at_once))) * (1 + model.upcast)


def training(model: Architecture, images: int) -> float:
    """GiB of one step of finetuning: a pass of the denoiser, or decoding, with gradients."""
    with _meta():
        network, decoder = _frozen(model.denoiser()), _frozen(model.decoder())
        inputs = dict(model.inputs(model.rows * images))
        inputs["sample"].requires_grad_()
        step = peak(lambda: network(**inputs).sample.sum().backward(), gradients=True)
        latents = model.latents(images).requires_grad_()
        decode = peak(lambda: decoder.decode(latents).sample.sum().backward(), gradients=True)
    return max(step, decode)


def rows_of(models: Iterable[Architecture]) -> Iterator[str]:
    """Lines of a Markdown table: what models need, and how they fit the cards."""
    cards = " | ".join(f"{card} GB" for card in CARDS)
    yield f"| model | weights: 16 bits | 8 bits | 4 bits | drawing 1 image | {BATCH} images | {cards} |"
    yield "|" + " --- |" * (6 + len(CARDS))
    for model in models:
        quantized = [f"{weights(model, bits=bits):.1f}" if model.quantizable else "–" for bits in (8, 4)]
        drawing = [max(denoising(model, images), decoding(model, images)) for images in (1, BATCH)]
        cells = [model.name, f"{weights(model):.1f}", *quantized, *(f"{gib:.1f}" for gib in drawing)]
        yield "| " + " | ".join([*cells, *(setting(model, card, drawing) for card in CARDS)]) + " |"


def setting(model: Architecture, card: int, drawing: Sequence[float]) -> str:
    """The most precise setting with which a model draws on a card, and how many images at once.

    Args:
        model: The model.
        card: Memory of the card.
        drawing: Peaks of drawing one image, and a batch.
    """
    for bits in (16, 8, 4) if model.quantizable else (16,):
        free = card - RESERVE - weights(model, bits=bits)
        if free >= drawing[0]:
            return f"{bits} bits, {BATCH if free >= drawing[1] else 1} at once"
    return 'offload = "model"'


def training_rows(models: Iterable[Architecture]) -> Iterator[str]:
    """Lines of a Markdown table: what finetuning needs beside the weights."""
    yield "| model | " + " | ".join(f"chunk = {images}" for images in CHUNKS) + " |"
    yield "|" + " --- |" * (1 + len(CHUNKS))
    for model in models:
        peaks = [f"{weights(model) + training(model, images):.1f}" for images in CHUNKS]
        yield f"| {model.name} | " + " | ".join(peaks) + " |"


def main(
    page: Annotated[Path | None, typer.Option(help="Page whose tables are filled.")] = None,
    model: Annotated[str, typer.Option(help="The only model to count.")] = "",
) -> None:
    """Count, print, and fill the page."""
    chosen = [each for each in ARCHITECTURES if model in ("", each.name)]
    judge = count(qwen25_vl) * 2 / GIB
    parts = {
        "memory": "\n".join(rows_of(chosen)),
        "training": "\n".join(training_rows(each for each in chosen if not each.quantizable)),
        "judge": f"Qwen2.5-VL with seven billion weights takes {judge:.1f} GiB in 16 bits.",
    }
    typer.echo("\n\n".join(parts.values()))
    if page is not None:
        page.write_text(fill(page.read_text(encoding="utf-8"), **parts), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
