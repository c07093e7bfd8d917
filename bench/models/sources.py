"""Where the files of a model are: a diffusers folder, a single-file checkpoint, or a repository on the hub.

The files that are loaded, and only these, are the identity of a model. A folder and a repository with equal
files are therefore the same model, whatever else lies beside them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import constants, snapshot_download

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.vision.hub import HubName, snapshot, unreachable

INDEX = "model_index.json"

UNUSED = ("safety_checker",)
"""Components that are never loaded: the safety checker blacks out images, which would bias all counts."""

_WEIGHTS = re.compile(
    r"(?:model|diffusion_pytorch_model)"
    r"(?:\.(?P<variant>[a-z]\w*?))?(?:-\d{5}-of-\d{5})?(?:\.(?P<old_variant>[a-z]\w*))?\.safetensors"
)
"""Names of weights: plain or of a variant, whole or in parts, with the variant before or after the part."""

_INDEX_OF_PARTS = re.compile(
    r"(?:model|diffusion_pytorch_model)(?:\.(?P<old_variant>\w+))?\.safetensors\.index(?:\.(?P<variant>\w+))?\.json"
)

_CONFIGURATION = (".json", ".model", ".txt", ".jinja")
"""Suffixes of the other files of a component; a T5 tokenizer may consist only of a ``.model`` file."""

PREFERRED = ("fp16", "bf16")
"""Variants in the order in which they are taken where a component has no plain weights."""


@dataclass(frozen=True)
class Source:
    """The files of a model on this machine.

    Attributes:
        root: The diffusers folder with the configuration of all parts.
        files: The files to load, relative to ``root``, sorted.
        variant: The variant of the weights, such as ``"fp16"``; ``None`` for plain weights.
        checkpoint: The single file with all weights, if the model is one; ``files`` are then configuration.
    """

    root: Path
    files: tuple[Path, ...]
    variant: str | None = None
    checkpoint: Path | None = None

    def digest(self) -> str:
        """SHA-256 over the names and bytes of the files."""
        sha = hashlib.sha256()
        for name in self.files:
            sha.update(f"{name.as_posix()}\n".encode())
            _add(sha, self.root / name)
        if self.checkpoint is not None:
            sha.update(b"checkpoint\n")
            _add(sha, self.checkpoint)
        return sha.hexdigest()


def folder_source(root: Path) -> Source:
    """The files of a diffusers folder.

    Raises:
        EvenhandError: It is not a diffusers folder, or contains code.
    """
    if not (root / INDEX).is_file():
        raise EvenhandError(f"{root}: model folder is not a diffusers pipeline, it has no {INDEX}")
    if code := next(root.rglob("*.py"), None):
        raise EvenhandError(
            f"{root}: model folder contains code ({code.name}), which is never run; remove it"
        )
    return _source(root)


def hub_source(name: HubName) -> Source:
    """The files of a repository with a diffusers pipeline, downloaded if that is allowed.

    Raises:
        EvenhandError: The repository is neither cached nor reachable, or only parts of it are cached.
    """
    root = snapshot(name, [INDEX], what="model")
    if constants.HF_HUB_OFFLINE:
        return _complete(_source(root), name)
    # The commit, so that all files are of one state of the repository.
    pinned = HubName(name.repository, root.name)
    names, _ = pipeline_files(_listed(pinned, root), read_index(root))
    return _complete(_source(snapshot(pinned, names, what="model")), name)


def configuration(root: Path) -> tuple[Path, ...]:
    """The files of a diffusers folder that hold no weights, relative to it, sorted."""
    return tuple(name for name in _source(root).files if ".safetensors" not in name.name)


def read_index(root: Path) -> dict[str, Any]:
    """The index of a diffusers folder: its pipeline class and its components.

    Raises:
        EvenhandError: It cannot be read.
    """
    try:
        index = json.loads((root / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise EvenhandError(
            f"model {str(root)!r} cannot be loaded ({fault}); its {INDEX} is damaged"
        ) from fault
    if not isinstance(index, dict):
        raise EvenhandError(f"model {str(root)!r} cannot be loaded; its {INDEX} must be a JSON object")
    return index


def components(index: Mapping[str, Any]) -> list[str]:
    """Names of the parts of a pipeline that are loaded; each one has a folder."""
    parts = ((name, entry) for name, entry in index.items() if not name.startswith("_"))
    return [name for name, entry in parts if isinstance(entry, list) and any(entry) and name not in UNUSED]


def pipeline_files(names: Collection[str], index: Mapping[str, Any]) -> tuple[list[str], str | None]:
    """The files of a pipeline that are loaded, sorted, and the variant of its weights.

    Plain weights are taken where all components have them. Otherwise the variant of the components without
    plain weights is taken for every component that has it.

    Args:
        names: All files, as paths relative to the folder of the pipeline.
        index: The content of ``model_index.json``.
    """
    of_part = {part: _direct(names, part) for part in components(index)}
    variant = _variant(of_part)
    chosen = [INDEX] if INDEX in names else []
    for part, files in of_part.items():
        has = variant is not None and any(_variant_of(file) == variant for file in files)
        wanted = variant if has else None
        chosen += [f"{part}/{file}" for file in files if _is_loaded(file, wanted)]
    return sorted(chosen), variant


def _direct(names: Collection[str], part: str) -> list[str]:
    """Names of the files directly in the folder of a component."""
    inside = (name.removeprefix(f"{part}/") for name in names if name.startswith(f"{part}/"))
    return sorted(name for name in inside if "/" not in name and not name.startswith("."))


def _variant(of_part: Mapping[str, Sequence[str]]) -> str | None:
    """The variant that components without plain weights need."""
    offered = [
        {_variant_of(file) for file in files if _WEIGHTS.fullmatch(file)} for files in of_part.values()
    ]
    lacking = [variants for variants in offered if variants and None not in variants]
    if not lacking:
        return None
    common = {variant for variant in set.intersection(*lacking) if variant is not None}
    return min(common, key=lambda name: ([*PREFERRED, name].index(name), name), default=None)


def _variant_of(file: str) -> str | None:
    found = _WEIGHTS.fullmatch(file) or _INDEX_OF_PARTS.fullmatch(file)
    return (found["variant"] or found["old_variant"]) if found else None


def _is_loaded(file: str, variant: str | None) -> bool:
    if _WEIGHTS.fullmatch(file) or _INDEX_OF_PARTS.fullmatch(file):
        return _variant_of(file) == variant
    return Path(file).suffix in _CONFIGURATION and ".index." not in file


def _source(root: Path) -> Source:
    # pathlib would not follow links to folders, as some caches have.
    names = [path.relative_to(root).as_posix() for path in root.glob("*/*") if path.is_file()]
    files, variant = pipeline_files([*names, INDEX], read_index(root))
    # The order of paths, not of their texts, is part of published identities.
    return Source(root, tuple(sorted(map(Path, files))), variant)


def _complete(source: Source, name: HubName) -> Source:
    """The source, if every component has a file.

    Raises:
        EvenhandError: Some have none, after an interrupted download.
    """
    found = {file.parts[0] for file in source.files}
    if lacking := [part for part in components(read_index(source.root)) if part not in found]:
        raise EvenhandError(
            f"model {str(name)!r} is only partly in the cache, it lacks {', '.join(lacking)}; "
            "repeat the command with --online, or run evenhand fetch"
        )
    return source


def _listed(name: HubName, root: Path) -> list[str]:
    """Names of all files of a repository."""
    try:
        found = snapshot_download(name.repository, revision=name.revision, dry_run=True)
    except (OSError, ValueError) as fault:
        if not any(root.glob("*/*")):
            raise unreachable("model", name, fault) from fault
        # The hub cannot be reached although it may be: what is cached can still be complete.
        return [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    return [file.filename for file in found]


def _add(sha: Any, path: Path) -> None:
    with path.open("rb") as file:
        sha.update(hashlib.file_digest(file, "sha256").digest())
