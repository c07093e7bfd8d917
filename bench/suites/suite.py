"""A suite: prompt sets, model, protocol, panel, attributes and method parameters, as one TOML file."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from evenhand.bench.errors import EvenhandError
from evenhand.bench.parsing.strict_toml import read_toml
from evenhand.bench.registry.entry_points import SUITES
from evenhand.bench.registry.judge_spec import judge_name
from evenhand.bench.suites.targets import (
    LABOUR,
    UNIFORM,
    Table,
    check_table,
    read_table,
    table_digest,
    table_of,
    target_shares,
)

if TYPE_CHECKING:
    from evenhand.methods.base import Cell


MAX_CELLS = 200
"""Most cells of one attribute set; the finest published one, seven races by nine ages by gender, has 126.

The memory of a correction grows with the square of the cells, and a share needs images of its own.
"""

_NAME = re.compile(r"\w[\w .+-]{0,99}")
"""Names of suites, which name folders too."""

_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]{0,39}")

_GROUP = re.compile(r"[^\s=*;|+@-][^\s=*;|]*(?: [^\s=*;|]+)*")
"""Groups. They are written as ``gender=woman;tone=dark``, ``woman*dark`` and ``woman|man``, and stand in
spreadsheets, where a sign begins a formula."""

_NOT_MEASUREMENT = {"title", "description", "defaults", "methods"}
"""Fields of a suite that change no number of a given method."""


_LATER_CHOICES = ("asks", "noise")
"""Fields of a prompt use that the digest leaves out where they have their defaults."""


class Spec(BaseModel):
    """Base of all suite models: frozen, unknown keys and numbers that are not finite refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


class Protocol(Spec):
    """Frozen generation settings; any change needs a new version.

    The solver ``own`` is the scheduler that a model comes with, for models that their own pipeline draws.
    Kernels that are ``compiled`` draw faster after some minutes, and change the last bits of images; see
    :mod:`evenhand.bench.models.compilation`.
    """

    version: str
    solver: Literal["dpmsolver++", "ddim", "euler", "lms", "pndm", "unipc", "own"] = "dpmsolver++"
    steps: int = Field(gt=0, le=1000)
    guidance: float = Field(ge=1)
    width: int = Field(gt=0, le=8192, multiple_of=8)
    height: int = Field(gt=0, le=8192, multiple_of=8)
    batch: int = Field(gt=0, le=1024)
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    compilation: Literal["none", "whole"] = "none"

    @model_serializer(mode="wrap")
    def _without_later_choices(self, stated: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Plain kernels are left out: images drawn before there was a choice keep their keys."""
        fields: dict[str, Any] = stated(self)
        if self.compilation == "none":
            fields.pop("compilation", None)
        return fields


class GroupWords(Spec):
    """The words that name a group in a prompt: before an occupation, and alone."""

    adjective: str
    noun: str | None = None


class Attribute(Spec):
    """A perceived attribute and its groups, in order."""

    groups: dict[str, GroupWords] = Field(min_length=2)

    @field_validator("groups")
    @classmethod
    def _named(cls, groups: dict[str, GroupWords]) -> dict[str, GroupWords]:
        for name in groups:
            if not (_GROUP.fullmatch(name) and name.isprintable()):
                raise ValueError(
                    f"group {name[:40]!r} is no name; use words without = * ; | or a sign before them"
                )
        return groups


class PromptUse(Spec):
    """A prompt set and how much of it the suite draws.

    Attributes:
        name: Registered prompt set, or the path of a CSV.
        seeds: Images per prompt.
        kinds: Kinds drawn; empty for all.
        concepts: Concepts drawn; empty for all.
        templates: Templates drawn; empty for all.
        asks: Of the prompts that name groups, those that name one of each of these attributes; empty for all.
        limit: At most this many prompts, evenly spaced over the set; 0 for all.
        noise: ``hashed``: seeds that differ between prompts (:func:`evenhand.bench.prompts.plan.noise_seed`);
            ``listed``: those that the set lists for the prompt.
    """

    name: str
    seeds: int = Field(gt=0, le=100_000)
    kinds: tuple[str, ...] = ()
    concepts: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    limit: int = Field(default=0, ge=0)
    noise: Literal["hashed", "listed"] = "hashed"


class Bootstrap(Spec):
    """Settings of the paired cluster bootstrap (measurement.md 2.4).

    Attributes:
        draws: Resamples.
        seed: Seed of every random stream.
        resample_concepts: Whether the claim is about concepts like these, or about this list.
        scheme: At which levels images are redrawn; see :data:`evenhand.metrics.estimation.views.Scheme`.
    """

    draws: int = Field(default=2000, ge=100, le=100_000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    resample_concepts: bool = True
    scheme: Literal["two-stage", "outermost"] = "two-stage"


class Suite(Spec):
    """One benchmark, fully stated; ``RUN/suite.toml`` is this with everything resolved.

    Attributes:
        balance: Attributes whose joint cells the methods balance.
        target: The shares that methods aim at and that deviations are measured from: ``"uniform"``,
            ``"labour"`` (share of women by occupation, United States 2022), or a table of
            :mod:`evenhand.bench.suites.targets`; the path of a CSV or of a result is replaced by its table.
        report: Attribute sets that are measured, each a list of attribute names.
        primary: The attribute set whose RMSDelta ranks the methods.
        panel: Judges that vote. A method's steering judge may not be among them.
        non_voting_judges: Judges that are measured and shown but have no vote.
        calibration: Confusion counts of the judges: ``"mini"`` or the path of a CSV; empty for none.
        metrics: Registered metrics that are measured besides those of every suite.
        scorer: Model for alignment and same-seed distance: ``"mini"``, or a CLIP as folder or hub id.
        defaults: Methods that run when none is named.
        methods: Parameters of methods on this suite.
    """

    name: str
    version: str
    title: str
    description: str = ""
    model: str
    protocol: Protocol
    attributes: dict[str, Attribute]
    balance: tuple[str, ...]
    target: str | Table = UNIFORM
    report: tuple[tuple[str, ...], ...]
    primary: tuple[str, ...]
    panel: tuple[str, ...]
    non_voting_judges: tuple[str, ...] = ()
    calibration: str = ""
    scorer: str
    metrics: tuple[str, ...] = ()
    prompts: tuple[PromptUse, ...] = Field(min_length=1)
    bootstrap: Bootstrap = Bootstrap()
    defaults: tuple[str, ...] = ("base",)
    methods: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @field_validator("target")
    @classmethod
    def _read(cls, target: str | Table) -> str | Table:
        if isinstance(target, str) and target not in (UNIFORM, LABOUR):
            return read_table(Path(target))
        return target

    @field_validator("panel", "non_voting_judges")
    @classmethod
    def _canonical(cls, judges: tuple[str, ...]) -> tuple[str, ...]:
        """One spelling of a judge with parameters, the one under which it labels."""
        return tuple(judge_name(text) for text in judges)

    @field_validator("name")
    @classmethod
    def _folder(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name[:40]!r} names no folder; use letters, digits, spaces and . + - _")
        return name

    @field_validator("attributes")
    @classmethod
    def _named(cls, attributes: dict[str, Attribute]) -> dict[str, Attribute]:
        for name in attributes:
            if not _ATTRIBUTE.fullmatch(name):
                raise ValueError(f"attribute {name[:40]!r} is no name; use small letters, digits and _")
        return attributes

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for attributes in (*((name,) for name in self.attributes), self.balance, self.primary, *self.report):
            for name in attributes:
                if name not in self.attributes:
                    raise ValueError(f"attribute {name!r} is not in [attributes]")
            if len(set(attributes)) < len(attributes) or not attributes:
                raise ValueError(f"attribute set {list(attributes)} is empty or names one twice")
            cells = math.prod(len(self.attributes[name].groups) for name in attributes)
            if cells > MAX_CELLS:
                raise ValueError(
                    f"attribute set {list(attributes)[:4]} has {cells} cells; merge to at most {MAX_CELLS}"
                )
        if self.primary not in self.report:
            raise ValueError(f"primary {list(self.primary)} is not among the reported attribute sets")
        if both := set(self.panel) & set(self.non_voting_judges):
            raise ValueError(f"judge {sorted(both)[0]!r} is both in the panel and a non-voting judge")
        check_table(table_of(self.target), self.taxonomy)
        return self

    @property
    def taxonomy(self) -> dict[str, tuple[str, ...]]:
        """Every attribute with its groups, in order."""
        return {name: tuple(attribute.groups) for name, attribute in self.attributes.items()}

    def target_shares(self, concepts: Sequence[str], attributes: Sequence[str]) -> NDArray[np.float64]:
        """Desired shares of the joint cells of ``attributes``, in the order of their groups.

        Returns:
            ``(concepts, K)``.

        Raises:
            EvenhandError: The suite's target names an attribute but not a concept.
        """
        return target_shares(self.target, concepts=concepts, attributes=attributes, taxonomy=self.taxonomy)

    def digest(self) -> str:
        """SHA-256 of all that decides what is measured and how.

        Methods are left out: a suite gains methods and stays the same suite. The parameters of a method
        stand in its result. What was so before there was a choice is left out too: even shares, hashed noise,
        prompts whatever they ask for and the two-stage bootstrap.
        """
        parts = self.model_dump(mode="json", exclude={*_NOT_MEASUREMENT, "target"})
        for use, stated in zip(self.prompts, parts["prompts"], strict=True):
            for name in _LATER_CHOICES:
                if getattr(use, name) == PromptUse.model_fields[name].default:
                    del stated[name]
        if self.bootstrap.scheme == Bootstrap().scheme:
            del parts["bootstrap"]["scheme"]
        if self.target != UNIFORM:
            parts["target"] = table_digest(table_of(self.target))
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @property
    def balanced(self) -> tuple[str, ...]:
        """The attributes to balance, in the order in which the suite states its attributes."""
        return tuple(name for name in self.attributes if name in self.balance)

    def cells(self) -> tuple[Cell, ...]:
        """The joint cells of the attributes to balance, in the order of their groups."""
        from evenhand.methods.base import Cell

        attributes = {name: self.attributes[name].groups for name in self.balanced}
        products = itertools.product(*(groups.items() for groups in attributes.values()))
        return tuple(
            Cell(
                groups={name: group for name, (group, _) in zip(attributes, product, strict=True)},
                adjective=_adjective([words for _, words in product]),
                noun=_noun([words for _, words in product]),
                adjectives={
                    name: words.adjective for name, (_, words) in zip(attributes, product, strict=True)
                },
            )
            for product in products
        )


def _adjective(words: list[GroupWords]) -> str:
    # English puts age before skin before gender; suites list attributes the other way round.
    return " ".join(word.adjective for word in reversed(words))


def _noun(words: list[GroupWords]) -> str:
    head = next((word.noun for word in words if word.noun), "person")
    return " ".join([*(word.adjective for word in reversed(words) if not word.noun), head])


def load_suite(name: str) -> Suite:
    """The suite registered under ``name``, or the suite in the TOML file at that path.

    Raises:
        EvenhandError: Unknown name, unreadable file, malformed TOML or a wrong value.
    """
    if name.endswith(".toml") or "/" in name:
        return read_suite(Path(name))
    return read_suite(Path(str(SUITES.get(name))))


def read_suite(path: Path) -> Suite:
    """Read a suite file; every fault is one line that names the file and the place."""
    text, data = read_toml(path, what="suite file")
    try:
        return Suite.model_validate(data)
    except EvenhandError as fault:
        raise EvenhandError(f"suite file {path}: {fault}") from fault
    except ValidationError as fault:
        error = fault.errors()[0]
        place = ".".join(str(part) for part in error["loc"]) or "the suite"
        line = _line_of(text, [str(part) for part in error["loc"]])
        raise EvenhandError(f"suite file {path}, line {line}: {place}: {error['msg']}") from fault


def _line_of(text: str, keys: list[str]) -> int:
    """Line of the last of ``keys`` found as a key or table name, from 1; 1 where none is."""
    for key in reversed(keys):
        for number, line in enumerate(text.splitlines(), start=1):
            head = line.split("=")[0].strip().strip("[]").strip('"')
            if head == key or head.endswith(f".{key}"):
                return number
    return 1


def to_toml(value: Mapping[str, Any]) -> str:
    """The mapping as TOML: plain keys first, then tables; ``None`` is left out."""
    lines = [f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None and not _is_table(v)]
    for key, table in value.items():
        if _is_table(table):
            lines += ["", *_table(_key(key), table)]
    return "\n".join(lines) + "\n"


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _table(path: str, table: Mapping[str, Any]) -> list[str]:
    lines = [f"[{path}]"]
    lines += [f"{_key(k)} = {_value(v)}" for k, v in table.items() if v is not None and not _is_table(v)]
    for key, inner in table.items():
        if _is_table(inner):
            lines += ["", *_table(f"{path}.{_key(key)}", inner)]
    return lines


def _key(key: str) -> str:
    return key if key.replace("-", "").replace("_", "").isalnum() and key.isascii() else _plain(key)


def _plain(value: bool | float | str) -> str:
    # As JSON, but TOML knows no halves of a pair, and allows no DEL as it is.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, bool | int | float | str):
        return _plain(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None) + "}"
    return "[" + ", ".join(_value(item) for item in value) + "]"
