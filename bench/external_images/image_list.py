"""The image list of an audit: a CSV with the prompt of every external image."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pandas as pd

from evenhand.bench.errors import EvenhandError, unknown
from evenhand.bench.parsing.strict_csv import CsvFile, show
from evenhand.bench.prompts.prompt_set import Prompt, check_concepts, make_prompt
from evenhand.bench.results.result import PromptSetCard
from evenhand.metrics.table import PERSON_KINDS
from evenhand.metrics.terms import format_cell

REQUIRED = ("file", "prompt", "concept")
OPTIONAL = ("template", "kind", "cell", "seed", "model")
"""Optional columns. Columns may be in any order; see docs/audit-images.md."""

EMPTY = ("template", "kind", "cell")
"""Columns that may have empty values."""


@dataclass(frozen=True)
class Listed:
    """One image of the list.

    Attributes:
        file: Path relative to the image folder, with ``/`` as separator.
        model: The model that generated the image.
        prompt: The prompt of the image.
        seed: Seed of the noise, if the list has seeds.
        seed_index: 0, 1, … within the model and prompt; ordered by seed, else as listed.
    """

    file: str
    model: str
    prompt: Prompt
    seed: int | None
    seed_index: int = 0


@dataclass(frozen=True)
class ImageList:
    """A validated image list.

    Attributes:
        card: Name, version and digest of the list, and the number of distinct prompts.
        rows: The images, in the order of the file.
    """

    card: PromptSetCard
    rows: tuple[Listed, ...]

    @property
    def models(self) -> tuple[str, ...]:
        """The models of the images, in order."""
        return tuple(dict.fromkeys(row.model for row in self.rows))

    @property
    def concepts(self) -> tuple[str, ...]:
        """The concepts of the neutral prompts, in order."""
        return tuple(dict.fromkeys(r.prompt.concept for r in self.rows if r.prompt.kind == "neutral"))

    @property
    def has_seeds(self) -> bool:
        """Whether the list has the seeds of all images."""
        return all(row.seed is not None for row in self.rows)

    def table(self) -> pd.DataFrame:
        """The columns of the image table that the list provides, and ``file``."""
        return pd.DataFrame(
            {
                "file": row.file,
                "method": row.model,
                "prompt_id": row.prompt.id,
                "prompt": row.prompt.text,
                "text": row.prompt.text,
                "concept": row.prompt.concept,
                "template": row.prompt.template,
                "kind": row.prompt.kind,
                "cell": format_cell(row.prompt.cell),
                "seed_index": row.seed_index,
                **({} if row.seed is None else {"seed": row.seed}),
            }
            for row in self.rows
        )


def read_list(
    path: Path, *, taxonomy: Mapping[str, Sequence[str]], model: str, data: bytes | None = None
) -> ImageList:
    """Read an image list from a CSV.

    Args:
        path: The CSV.
        taxonomy: Attributes to groups, which cells may name.
        model: The model of the images if the list has no column ``model``.
        data: The content of the CSV, if it is not written yet; ``None`` to read it.

    Raises:
        EvenhandError: The file is malformed, has no images of people, has duplicate files or images or
            conflicting descriptions of a prompt, a concept has two spellings, or the models have different
            prompts.
    """
    file = CsvFile("image list", path, data)
    rows: list[Listed] = []
    seen = _Seen()
    for line, fields in file.rows(required=REQUIRED, optional=OPTIONAL, empty=EMPTY):
        try:
            row = _listed(fields, name=path.stem, taxonomy=taxonomy, model=model)
            seen.add(row, line)
        except ValueError as fault:
            raise file.fault(line, str(fault)) from fault
        rows.append(row)
    if not any(row.prompt.kind in PERSON_KINDS for row in rows):
        raise EvenhandError(
            f"{path}: every image has kind 'unrelated', so there are no people to judge; add images of "
            "people, or correct the column kind"
        )
    check_concepts((row.prompt for row in rows), where=str(path))
    numbered = _numbered(rows)
    _check_models(numbered, path)
    digest = _digest(numbered)
    prompts = len({row.prompt.id for row in rows})
    card = PromptSetCard(name=path.stem, version=digest[:12], digest=digest, prompts=prompts)
    return ImageList(card, numbered)


class _Seen:
    """The rows read so far, to detect duplicates and conflicts."""

    def __init__(self) -> None:
        self._files: dict[str, int] = {}
        self._prompts: dict[str, tuple[Prompt, int]] = {}
        self._images: dict[tuple[str, str, int], int] = {}

    def add(self, row: Listed, line: int) -> None:
        """Add a row; raises ``ValueError`` if it conflicts with an earlier line."""
        first = self._files.setdefault(row.file, line)
        if first != line:
            raise ValueError(f"file {show(row.file)} is already on line {first}; keep one of the two")
        prompt, first = self._prompts.setdefault(row.prompt.id, (row.prompt, line))
        if _description(prompt) != _description(row.prompt):
            raise ValueError(
                f"prompt {show(row.prompt.text)} has a different concept, template, kind or cell on line "
                f"{first}; use the same values"
            )
        if row.seed is None:
            return
        first = self._images.setdefault((row.model, row.prompt.id, row.seed), line)
        if first != line:
            raise ValueError(
                f"model {show(row.model)} already has this prompt with seed {row.seed} on line {first}; "
                "keep one of the two"
            )


def _description(prompt: Prompt) -> tuple[object, ...]:
    return prompt.concept, prompt.template, prompt.kind, prompt.cell


def _listed(
    fields: Mapping[str, str], *, name: str, taxonomy: Mapping[str, Sequence[str]], model: str
) -> Listed:
    """Parse one row; raises ``ValueError`` if it is not valid."""
    prompt = make_prompt(
        fields["prompt"],
        name=name,
        concept=fields["concept"],
        template=fields.get("template", ""),
        kind=fields.get("kind") or "neutral",
        cell=fields.get("cell", ""),
    )
    for attribute, group in prompt.cell.items():
        if attribute not in taxonomy:
            raise ValueError(str(unknown("attribute", attribute, taxonomy)))
        if group not in taxonomy[attribute]:
            raise ValueError(str(unknown(f"group of {attribute}", group, taxonomy[attribute])))
    seed = _seed(fields["seed"]) if "seed" in fields else None
    return Listed(_file(fields["file"]), fields.get("model", model), prompt, seed)


def _file(text: str) -> str:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or "\\" in text:
        raise ValueError(
            f"file must be a path inside the image folder with '/' as separator, got {show(text)}; correct it"
        )
    return str(path)


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) < 2**63):
        raise ValueError(f"seed must be an integer from 0 to 2^63 - 1, got {show(text)}; correct it")
    return int(text)


def _numbered(rows: Sequence[Listed]) -> tuple[Listed, ...]:
    """Set the seed index of every row."""
    groups: dict[tuple[str, str], list[Listed]] = defaultdict(list)
    for row in rows:
        groups[row.model, row.prompt.id].append(row)
    places: dict[str, int] = {}
    for group in groups.values():
        ordered = sorted(group, key=lambda row: -1 if row.seed is None else row.seed)
        places |= {row.file: place for place, row in enumerate(ordered)}
    return tuple(replace(row, seed_index=places[row.file]) for row in rows)


def _check_models(rows: Sequence[Listed], path: Path) -> None:
    """Check that all models have the same prompts and seeds, since they are compared in pairs."""
    slots: dict[str, set[tuple[str, int]]] = {}
    for row in rows:
        place = row.seed_index if row.seed is None else row.seed
        slots.setdefault(row.model, set()).add((row.prompt.text, place))
    first, *others = slots
    for other in others:
        if odd := sorted(slots[first] ^ slots[other]):
            text, place = odd[0]
            has, lacks = (first, other) if odd[0] in slots[first] else (other, first)
            seed = f"image {place + 1}" if rows[0].seed is None else f"seed {place}"
            raise EvenhandError(
                f"{path}: model {has!r} has {seed} of prompt {show(text)}, but {lacks!r} does not; give all "
                "models the same prompts, or audit each model with a separate list"
            )


def _digest(rows: Sequence[Listed]) -> str:
    parts = [
        [r.file, r.model, r.prompt.text, *_description(r.prompt)[:3], format_cell(r.prompt.cell), r.seed]
        for r in rows
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
