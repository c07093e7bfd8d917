"""Weights of open_clip models: local folders, and checkpoints of its built-in architectures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
from huggingface_hub import constants

from evenhand.bench.errors import NotInstalledError, unknown
from evenhand.metrics.judges.recipe import hub_weights
from evenhand.metrics.vision.weight_folder import require, version
from evenhand.metrics.vision.weight_source import WeightSource
from evenhand.metrics.vision.weights import first_line, weight_file

FILES = ("open_clip_config.json", "open_clip_model.safetensors")
PREPARATION = ("mean", "std", "interpolation", "resize_mode")

HUB_WEIGHTS = "open_clip_*model.safetensors"
"""Name of the weights in a repository of a tag, of which open_clip takes the file without code."""

USUAL_SIDE = 224
"""Side of the input where a configuration states none."""


@dataclass(frozen=True)
class Checkpoint:
    """Weights of one of open_clip's built-in architectures.

    Attributes:
        model: Name of the architecture, ``"ViT-L-14"``.
        file: The weights, in a format that open_clip reads.
        training: Settings of the training that neither the name nor the file contains: ``quick_gelu`` and the
            image preprocessing (``mean``, ``std``, ``interpolation``, ``resize_mode``).
    """

    model: str
    file: Path
    training: Mapping[str, Any]

    def arguments(self) -> dict[str, Any]:
        """Arguments of open_clip's loader in addition to the name."""
        prepared = {f"image_{key}": self.training[key] for key in PREPARATION if key in self.training}
        quick = bool(self.training.get("quick_gelu", False))
        return {"pretrained": str(self.file), "force_quick_gelu": quick, **prepared}


def checkpoint(model: str, tag: str, *, file: str | None = None) -> Checkpoint:
    """The weights that open_clip knows under an architecture's name and a tag.

    Args:
        model: Name of the architecture.
        tag: Name of the weights.
        file: A local file with the weights; by default the hub's cache, or a download.

    Raises:
        EvenhandError: The tag or file does not exist, or the weights are neither cached nor reachable.
    """
    known = open_clip.get_pretrained_cfg(model, tag)
    if not known:
        tags = open_clip.list_pretrained_tags_by_model(model)
        raise unknown(f"weights of open_clip model {model!r}:", tag, tags)
    try:
        # Fetch the model's own tokenizer, if it has one, now and not in the middle of a run.
        open_clip.get_tokenizer(model)
        found = weight_file(file) if file else _fetched(known)
    except (OSError, RuntimeError, ValueError) as fault:
        reason = "downloads are off" if constants.HF_HUB_OFFLINE else first_line(fault)
        raise NotInstalledError(
            f"weights of open_clip model {model!r} ({tag}) are not in the cache and cannot be downloaded "
            f"({reason}); add --online if there is a network, or give weights=FILE"
        ) from fault
    return Checkpoint(model, found, known)


def _fetched(known: Mapping[str, Any]) -> Path:
    """Path of the weights in the cache, downloaded if necessary."""
    if constants.HF_HUB_OFFLINE and not known.get("hf_hub"):
        # open_clip downloads these from a plain URL, which the hub's offline switch does not prevent.
        cached = _cached(known)
        if not cached.is_file():
            raise OSError(f"offline, and there is no {cached}")
        return cached
    return Path(open_clip.download_pretrained(known))


def folder_version(source: Path | Checkpoint, settings: Any) -> str:
    """Twelve hexadecimal digits that change with the weights and with ``settings``.

    Raises:
        EvenhandError: A file of a folder is missing.
    """
    if isinstance(source, Path):
        require(source, FILES)
        return version([source], settings)
    with source.file.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return version([], [source.model, source.arguments() | {"pretrained": digest}, settings])


def input_side(source: Path | Checkpoint) -> int:
    """Side of the network's input in pixels, from the configuration of the architecture."""
    if isinstance(source, Checkpoint):
        config = open_clip.get_model_config(source.model)
    else:
        config = json.loads((source / FILES[0]).read_text(encoding="utf-8"))["model_cfg"]
    side = config["vision_cfg"].get("image_size", USUAL_SIDE)
    return int(max(side)) if isinstance(side, list | tuple) else int(side)


def weight_source(model: str, tag: str, file: str | None) -> WeightSource:
    """The source of the weights of a folder, a repository, or a tag of an architecture.

    Raises:
        EvenhandError: open_clip does not know the architecture or its tag.
    """
    if "/" in model or Path(model).is_dir():
        return hub_weights(model, title=model)
    known = open_clip.get_pretrained_cfg(model, tag)
    if not known:
        raise unknown(
            f"weights of open_clip model {model!r}:", tag, open_clip.list_pretrained_tags_by_model(model)
        )
    title = f"open_clip {model}, {tag}"
    if file:
        return WeightSource(title, place=Path(file), address=known.get("url", ""))
    if repository := known.get("hf_hub", ""):
        folder, _, name = repository.rpartition("/")
        return WeightSource(title, repository=folder, files=(name or HUB_WEIGHTS, "*.json", "*.txt"))
    return WeightSource(title, place=_cached(known), address=known["url"])


def _cached(known: Mapping[str, Any]) -> Path:
    """Where open_clip keeps a file that comes from a plain address."""
    return Path.home() / ".cache" / "clip" / Path(known["url"]).name
