"""Weight edits as low-rank updates (LoRA), in the layouts of diffusers (PEFT) and of kohya's scripts.

An edit changes the weight ``W`` ``(m, d)`` of a linear layer to ``W'``. Its update is ``B A`` with ``B``
``(m, r)`` and ``A`` ``(r, d)``: the truncated singular value decomposition of ``W' - W``, which is its best
approximation of rank ``r`` (Eckart and Young 1936). Closed-form edits change a layer only for a few texts, so
their rank is low. The layout is that of Hu et al., arXiv 2106.09685, with a scale of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from evenhand.bench.errors import EvenhandError

DIFFUSERS_FILE = "pytorch_lora_weights.safetensors"
"""The name that ``load_lora_weights`` of diffusers looks for in a folder."""

KOHYA_FILE = "kohya_lora.safetensors"
"""The same update for ComfyUI and A1111."""

ENCODERS = "text_encoder", "text_encoder_2"


@dataclass(frozen=True)
class LowRankEdit:
    """A weight edit as low-rank updates of layers.

    Attributes:
        updates: Name of a weight to ``B`` and ``A``, all of the same rank.
        rank: The rank.
        error: Largest relative error of an update over the layers, in the Frobenius norm.
    """

    updates: Mapping[str, tuple[Tensor, Tensor]]
    rank: int
    error: float

    def weights(self, original: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights with the updates, by name; ``original`` are those without."""
        return {
            name: original[name] + (up @ down).to(original[name]) for name, (up, down) in self.updates.items()
        }


def low_rank_edit(
    edited: Mapping[str, Tensor], original: Mapping[str, Tensor], *, error: float
) -> LowRankEdit:
    """The update of the lowest rank whose relative error is at most ``error`` in every layer.

    All layers get the same rank, because loaders disagree about the scale of layers of different ranks.

    Args:
        edited: Name of a weight to its new value.
        original: Name of a weight to its old value.
        error: Largest relative error in the Frobenius norm, above 0 and below 1.

    Raises:
        EvenhandError: A weight is not that of a linear layer, nothing is changed, or ``error`` is out of
            range.
    """
    if not 0 < error < 1:
        raise EvenhandError(f"error must be above 0 and below 1, got {error:g}; use 0.001")
    changes = {name: (value.double() - original[name].double()) for name, value in edited.items()}
    changes = {name: change for name, change in changes.items() if change.any()}
    if odd := [name for name, change in changes.items() if change.ndim != 2 or not name.endswith(".weight")]:
        raise EvenhandError(f"{odd[0]} is not the weight of a linear layer; export with --format diffusers")
    if not changes:
        raise EvenhandError("the method changes no weights; there is nothing to export as LoRA")
    parts = {name: torch.linalg.svd(change, full_matrices=False) for name, change in changes.items()}
    rank = max(_rank(values, error) for _, values, _ in parts.values())
    left = {name: _left_out(values, rank) for name, (_, values, _) in parts.items()}
    updates = {name: _factors(*part, rank=rank) for name, part in parts.items()}
    return LowRankEdit(updates, rank, max(left.values()))


def _left_out(values: Tensor, rank: int) -> float:
    """Relative Frobenius error of the truncation to ``rank``, from the singular values."""
    return float(values[rank:].norm() / values.norm())


def _rank(values: Tensor, error: float) -> int:
    """The lowest rank with at most this error."""
    return next(rank for rank in range(1, len(values) + 1) if _left_out(values, rank) <= error)


def _factors(left: Tensor, values: Tensor, right: Tensor, *, rank: int) -> tuple[Tensor, Tensor]:
    """``B`` and ``A`` in single precision, padded with zeros where a layer has fewer singular values."""
    scale = values[:rank].sqrt()
    up, down = left[:, :rank] * scale, scale[:, None] * right[:rank]
    missing = rank - len(scale)
    up = torch.nn.functional.pad(up, (0, missing))
    down = torch.nn.functional.pad(down, (0, 0, 0, missing))
    return up.float().contiguous().cpu(), down.float().contiguous().cpu()


def save_lora(edit: LowRankEdit, folder: Path) -> None:
    """Write the updates in both layouts to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    plain, kohya = {}, {}
    several = any(name.startswith("text_encoder_2.") for name in edit.updates)
    for name, (up, down) in edit.updates.items():
        part, module = _module(name)
        plain[f"{part}.{module}.lora_A.weight"] = down
        plain[f"{part}.{module}.lora_B.weight"] = up
        layer = f"{_kohya_part(part, several=several)}_{module.replace('.', '_')}"
        kohya[f"{layer}.lora_down.weight"] = down
        kohya[f"{layer}.lora_up.weight"] = up
        kohya[f"{layer}.alpha"] = torch.tensor(float(edit.rank))
    save_file(plain, folder / DIFFUSERS_FILE, metadata={"format": "pt"})
    described = {"ss_network_module": "networks.lora", "ss_network_dim": str(edit.rank)}
    described |= {"ss_network_alpha": str(edit.rank), "format": "pt"}
    save_file(kohya, folder / KOHYA_FILE, metadata=described)


def _module(name: str) -> tuple[str, str]:
    """The part of the pipeline and the layer in it that a weight belongs to, as files name them."""
    part, _, module = name.removesuffix(".weight").partition(".")
    # transformers 5 names the parameters of a text model without the prefix that all files have.
    if part in ENCODERS and not module.startswith("text_model."):
        module = f"text_model.{module}"
    return part, module


def _kohya_part(part: str, *, several: bool) -> str:
    if part not in ENCODERS:
        return "lora_unet"
    return f"lora_te{ENCODERS.index(part) + 1}" if several else "lora_te"
