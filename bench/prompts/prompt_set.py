"""Prompt sets: versioned, hashed lists of prompts, registered or read from a user's CSV.

The digest of a set covers its name, its version and all rows, so results with equal digests have the same
prompts. A registered set is ``<name>.csv`` beside its datasheet ``<name>.toml``, in
``prompts/`` or in a package that registers the datasheet's path in ``evenhand.prompts``; a user's set is one
CSV with the columns of ``COLUMNS``.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError, field_validator

from evenhand.bench.errors import EvenhandError, unknown
from evenhand.bench.parsing.strict_csv import CsvFile, check_field, check_width, delimiter_of, show
from evenhand.bench.registry.entry_points import PROMPTS
from evenhand.bench.suites.evaluation_config import Spec
from evenhand.bench.suites.prompt_use import PromptUse
from evenhand.metrics.terms import KINDS, parse_cell

COLUMNS = ("prompt", "concept", "template", "kind", "cell")
"""Header of a prompt CSV."""

SEEDS = "seeds"
"""Optional last column: the seeds of the prompt, as ``4442`` or ``4442;4848``."""


@dataclass(frozen=True)
class Prompt:
    """One text given to a model.

    Attributes:
        id: Hash of the set's name and the text, 16 hexadecimal digits.
        text: The prompt.
        concept: What is to be depicted: an occupation, an object, a character.
        template: Short name of the template that the concept is put into.
        kind: One of :data:`evenhand.metrics.terms.KINDS`.
        cell: Attribute to the group that the prompt names, or that its subject implies.
        seeds: Noise seeds published with the prompt, each below 2^63; empty for most sets.
    """

    id: str
    text: str
    concept: str
    template: str
    kind: str
    cell: dict[str, str] = field(hash=False)
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True)
class PromptSet:
    """A versioned list of prompts.

    Attributes:
        name: Registered name, or the stem of the user's file.
        version: Version of the datasheet; for a user's file, a hash of its rows.
        title: One line.
        description: What the set is for.
        source: Where the prompts come from.
        licence: Licence of the texts; empty for a user's file.
        prompts: The prompts in file order.
        digest: SHA-256 over name, version and all rows.
    """

    name: str
    version: str
    title: str
    description: str
    source: str
    licence: str
    prompts: tuple[Prompt, ...] = field(repr=False)
    digest: str


class Datasheet(Spec):
    """The datasheet of a registered set, after Gebru et al., "Datasheets for Datasets" (2021)."""

    name: str
    version: str
    title: str
    description: str
    motivation: str
    composition: str
    source: str
    licence: str
    limits: str

    @field_validator("*")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if not value.strip() or "\n" in value:
            raise ValueError("must be one line of text")
        return value


def list_prompt_sets() -> list[str]:
    """Names of the registered sets, sorted; loads no package.

    Raises:
        EvenhandError: Two packages register the same name.
    """
    return PROMPTS.names()


def load_prompt_set(name_or_path: str | Path) -> PromptSet:
    """The registered set of that name, or the set in the CSV at that path.

    A string is a path if it ends in ``.csv`` or contains a slash.

    Raises:
        EvenhandError: Unknown name (the nearest is suggested), or a file that cannot be read or has an
            error; the message names file, line and remedy.
    """
    name = str(name_or_path)
    if isinstance(name_or_path, Path) or name.endswith(".csv") or "/" in name:
        return _load_file(Path(name_or_path))
    sheet = load_datasheet(name)
    _, rows = _read_csv(_sheet_path(name).with_suffix(".csv"), name=name)
    return PromptSet(
        name=name,
        version=sheet.version,
        title=sheet.title,
        description=sheet.description,
        source=sheet.source,
        licence=sheet.licence,
        prompts=rows,
        digest=_digest(name, sheet.version, rows),
    )


def load_datasheet(name: str) -> Datasheet:
    """The datasheet of a registered set.

    Raises:
        EvenhandError: Unknown name, or an invalid datasheet.
    """
    path = _sheet_path(name)
    try:
        sheet = Datasheet.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise EvenhandError(f"{path}: datasheet cannot be read ({fault}); reinstall its package") from fault
    except ValidationError as fault:
        error = fault.errors()[0]
        place = ".".join(str(part) for part in error["loc"])
        message = error["msg"].removeprefix("Value error, ")
        raise EvenhandError(f"{path}: {place}: {message}") from fault
    if sheet.name != name:
        raise EvenhandError(f"{path}: name must be {name!r} as registered, got {sheet.name!r}")
    return sheet


def _sheet_path(name: str) -> Path:
    return Path(str(PROMPTS.get(name)))


def select(prompt_set: PromptSet, use: PromptUse) -> tuple[Prompt, ...]:
    """The prompts that a suite draws from a set, in file order.

    A prompt must pass all of the filters ``kinds``, ``concepts``, ``templates`` and ``asks``. An empty filter
    passes everything; ``asks`` passes prompts without a cell. Of the ``n`` prompts left, ``limit`` takes
    prompts ``i * n // limit`` for ``i`` from 0.

    Raises:
        EvenhandError: A filter has a value that the set lacks, or no prompt is left.
    """
    chosen = prompt_set.prompts
    filters = {"kind": use.kinds, "concept": use.concepts, "template": use.templates}
    for column, wanted in filters.items():
        known = {getattr(prompt, column) for prompt in prompt_set.prompts}
        for value in wanted:
            if value not in known:
                raise unknown(f"{column} of prompt set {prompt_set.name}", value, known)
        chosen = tuple(prompt for prompt in chosen if not wanted or getattr(prompt, column) in wanted)
    asked = {attribute for prompt in prompt_set.prompts for attribute in prompt.cell}
    for attribute in use.asks:
        if attribute not in asked:
            raise unknown(f"attribute in the cells of prompt set {prompt_set.name}", attribute, asked)
    chosen = tuple(prompt for prompt in chosen if not prompt.cell or set(use.asks) <= set(prompt.cell))
    if not chosen:
        filters["ask"] = use.asks
        stated = ", ".join(f"{column}s {list(wanted)}" for column, wanted in filters.items() if wanted)
        raise EvenhandError(
            f"prompt set {prompt_set.name} has no prompt with {stated} together; drop one filter"
        )
    count = len(chosen)
    limit = min(use.limit or count, count)
    return tuple(chosen[i * count // limit] for i in range(limit))


def check_concepts(prompts: Iterable[Prompt], *, where: str) -> None:
    """Check that no concept has two spellings; each would be measured as a concept with fewer images.

    Args:
        prompts: The prompts that are measured together.
        where: Where they come from, for the message.

    Raises:
        EvenhandError: Two concepts differ only in letter case.
    """
    spelt: dict[str, str] = {}
    for prompt in prompts:
        first = spelt.setdefault(prompt.concept.casefold(), prompt.concept)
        if first != prompt.concept:
            raise EvenhandError(
                f"{where}: concepts {show(first)} and {show(prompt.concept)} differ only in letter case; "
                "use one spelling"
            )


def format_seeds(seeds: Sequence[int]) -> str:
    """The seeds as in the CSV: ``"4442;4848"``."""
    return ";".join(map(str, seeds))


def parse_seeds(text: str) -> tuple[int, ...]:
    """The seeds in ``text``; the reverse of :func:`format_seeds`.

    Raises:
        ValueError: The text is not of that form, or a seed is too large or repeated.
    """
    parts = text.split(";") if text else []
    if not all(part.isascii() and part.isdigit() and len(part) < 20 for part in parts):
        raise ValueError(f"seeds must be non-negative integers separated by ';', got {show(text)}")
    seeds = tuple(map(int, parts))
    if any(seed >= 2**63 for seed in seeds):
        raise ValueError(f"seeds must be below 2^63, got {show(text)}")
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be distinct, got {show(text)}")
    return seeds


def _load_file(path: Path) -> PromptSet:
    name = path.stem
    comment, rows = _read_csv(path, name=name)
    version = _digest(name, "", rows)[:12]
    return PromptSet(
        name=name,
        version=version,
        title=name,
        description=f"Prompts of the file {path.name}.",
        source=comment or path.name,
        licence="",
        prompts=rows,
        digest=_digest(name, version, rows),
    )


def _digest(name: str, version: str, prompts: Sequence[Prompt]) -> str:
    # Leave out empty seeds: the published digests of sets without seeds have none.
    rows = [
        [p.text, p.concept, p.template, p.kind, sorted(p.cell.items()), *([p.seeds] if p.seeds else [])]
        for p in prompts
    ]
    return _sha256([name, version, rows])


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, separators=(",", ":")).encode()).hexdigest()


def _read_csv(path: Path, *, name: str) -> tuple[str, tuple[Prompt, ...]]:
    """The first line without its ``#`` if it is a comment, else an empty text, and the prompts of a CSV."""
    file = CsvFile("prompt file", path)
    text = file.text()
    comment = ""
    lines = 0
    if text.startswith("#"):
        comment, _, text = text.partition("\n")
        lines = 1
    records = file.records(text, lines_before=lines, delimiter=delimiter_of(text))
    _, header = next(records, (0, []))
    if tuple(header) not in (COLUMNS, (*COLUMNS, SEEDS)):
        found = show(",".join(header)) if header else "missing"
        wanted = f"{','.join(COLUMNS)}, with {SEEDS} after them where prompts list their seeds"
        raise file.fault(lines + 1, f"the header is {found}; it must be {wanted}")
    prompts: dict[str, Prompt] = {}
    line_of: dict[str, int] = {}
    for line, fields in records:
        try:
            prompt = _parse_row(fields, columns=header, name=name)
        except ValueError as fault:
            raise file.fault(line, str(fault)) from fault
        if prompt.id in prompts:
            first = line_of[prompt.id]
            raise file.fault(
                line, f"prompt {show(prompt.text)} is already on line {first}; remove one of the two"
            )
        prompts[prompt.id] = prompt
        line_of[prompt.id] = line
    if not prompts:
        raise file.fault(lines + 2, "no prompt follows the header; add one prompt a line")
    return comment.lstrip("#").strip(), tuple(prompts.values())


def _parse_row(fields: list[str], *, columns: Sequence[str], name: str) -> Prompt:
    """The prompt of one row.

    Raises:
        ValueError: The row has an error; the message has the remedy.
    """
    check_width(fields, columns)
    for column, value in zip(columns, fields, strict=True):
        check_field(column, value, empty=("cell", SEEDS))
    text, concept, template, kind, cell, *listed = fields
    prompt = make_prompt(text, name=name, concept=concept, template=template, kind=kind, cell=cell)
    return replace(prompt, seeds=parse_seeds(listed[0])) if listed else prompt


def make_prompt(text: str, *, name: str, concept: str, template: str, kind: str, cell: str) -> Prompt:
    """The prompt with these fields in the set ``name``; ``cell`` as in the CSV.

    Raises:
        ValueError: The kind is unknown, or the cell is invalid or does not fit the kind.
    """
    if kind not in KINDS:
        raise ValueError(str(unknown("kind", kind[:40], KINDS)))
    groups = parse_cell(cell)
    if kind == "explicit" and not groups:
        raise ValueError(
            "an explicit prompt must have a cell; write the groups that it names, as in gender=woman"
        )
    if groups and kind not in ("explicit", "over_correction"):
        raise ValueError(
            f"a prompt of kind {kind!r} must have an empty cell, got {show(cell)}; "
            "clear it, or use kind explicit"
        )
    return Prompt(
        id=_sha256([name, text])[:16], text=text, concept=concept, template=template, kind=kind, cell=groups
    )
