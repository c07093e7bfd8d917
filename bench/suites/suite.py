"""A suite: prompt sets, model, protocol, panel, attributes and method parameters, as one TOML file."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from evenhand.bench.errors import EvenhandError
from evenhand.bench.parsing.strict_toml import read_toml
from evenhand.bench.registry.entry_points import SUITES
from evenhand.bench.registry.method_spec import MAX_FITS
from evenhand.bench.results.result import BASE, Search
from evenhand.bench.suites import AUDIT_SUITES
from evenhand.bench.suites.evaluation_config import Bootstrap, EvaluationSettings, Spec
from evenhand.bench.suites.prompt_use import MAX_USES, PromptUse
from evenhand.bench.suites.protocol import Protocol as Protocol
from evenhand.bench.suites.targets import UNIFORM, table_digest, table_of
from evenhand.bench.suites.tuned import tuned_parameters
from evenhand.bench.suites.tuning_config import Tuning

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from evenhand.methods.base import Cell


MAX_CELLS = 200
"""Maximum number of cells of an attribute set.

The largest published set, seven races by nine ages by gender, has 126. The memory of a correction grows with
the square of the number of cells, and every cell needs images.
"""

MAX_ATTRIBUTES, MAX_DEFAULTS, MAX_NAME = 50, 200, 4096
"""Maximum numbers of attributes and of methods to run if none is given, and length of the name of a model."""

_NAME = re.compile(r"\w[\w .+-]{0,99}")
"""Pattern for names of suites, which are also folder names."""

_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]{0,39}")

_GROUP = re.compile(r"[^\s=*;|+@-][^\s=*;|]*(?: [^\s=*;|]+)*")
"""Pattern for groups. Groups are written as ``gender=woman;tone=dark``, ``woman*dark`` and ``woman|man``, and
appear in spreadsheets, where a leading sign starts a formula."""

_NOT_MEASUREMENT = {
    "title",
    "description",
    "defaults",
    "methods",
    "methods_of",
    "fits",
    "tuned",
    "searches",
    "tuning",
}
"""Fields of a suite that do not change the results of a given method."""


_LATER_CHOICES = ("asks", "noise")
"""Fields of a prompt use that the digest omits if they have their default values."""


class GroupWords(Spec):
    """The words for a group in a prompt: before an occupation, and alone."""

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
                    f"group names must be words without = * ; | or a leading sign, got {name[:40]!r}"
                )
        return groups


class Generation(Spec):
    """What a suite draws, and with which methods.

    Attributes:
        balance: Attributes whose joint cells the methods balance.
        defaults: Methods to run if none is given.
        methods: Parameters of methods for this suite.
        methods_of: Suite of the same model, by name or by path, whose parameters the other methods have.
        fits: How often each method is fitted, with other seeds; the leaderboard shows the median fit.
        tuning: How methods are tuned for this suite; ``None`` if they are not.
        tuned: Parameters that tuning has found; they override ``methods``.
        searches: What finding them has taken.
    """

    name: str
    version: str
    title: str
    description: str = ""
    model: str = Field(max_length=MAX_NAME)
    protocol: Protocol
    balance: tuple[str, ...]
    prompts: tuple[PromptUse, ...] = Field(min_length=1, max_length=MAX_USES)
    defaults: tuple[str, ...] = Field(default=(BASE,), max_length=MAX_DEFAULTS)
    methods: dict[str, dict[str, Any]] = Field(default_factory=dict)
    methods_of: str = Field(default="", max_length=MAX_NAME)
    fits: int = Field(default=1, ge=1, le=MAX_FITS)
    tuning: Tuning | None = None
    tuned: dict[str, dict[str, Any]] = Field(default_factory=dict)
    searches: dict[str, Search] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _folder(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f"name must consist of letters, digits, spaces and . + - _, got {name[:40]!r}")
        return name


class Suite(EvaluationSettings, Generation):
    """The full specification of a benchmark; ``RUN/suite.toml`` has it with everything resolved.

    Attributes:
        attributes: Attributes, with the words for their groups.
        scorer: As in :class:`EvaluationSettings`; ``"mini"``, or a folder or hub id of a CLIP.
    """

    attributes: dict[str, Attribute] = Field(max_length=MAX_ATTRIBUTES)
    scorer: str

    @field_validator("attributes")
    @classmethod
    def _named(cls, attributes: dict[str, Attribute]) -> dict[str, Attribute]:
        for name in attributes:
            if not _ATTRIBUTE.fullmatch(name):
                raise ValueError(
                    f"attribute names must consist of lowercase letters, digits and _, got {name[:40]!r}"
                )
        return attributes

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for attributes in (*((name,) for name in self.attributes), self.balance, self.primary, *self.report):
            for name in attributes:
                if name not in self.attributes:
                    raise ValueError(f"attribute {name!r} is not in [attributes]")
            if len(set(attributes)) < len(attributes) or not attributes:
                raise ValueError(
                    f"attribute set must have distinct attributes and not be empty, got {list(attributes)}"
                )
            cells = math.prod(len(self.attributes[name].groups) for name in attributes)
            if cells > MAX_CELLS:
                raise ValueError(
                    f"attribute set {list(attributes)[:4]} must have at most {MAX_CELLS} cells, got {cells}; "
                    "merge groups"
                )
        if self.primary not in self.report:
            raise ValueError(f"primary must be one of the attribute sets in report, got {list(self.primary)}")
        if both := set(self.panel) & set(self.non_voting_judges):
            raise ValueError(
                f"judge {sorted(both)[0]!r} is both in panel and in non_voting_judges; remove one"
            )
        self.check_target()
        return self

    @property
    def taxonomy(self) -> dict[str, tuple[str, ...]]:
        """Every attribute with its groups, in order."""
        return {name: tuple(attribute.groups) for name, attribute in self.attributes.items()}

    def digest(self) -> str:
        """SHA-256 of all settings that affect what is measured and how.

        Methods are excluded: adding methods does not change a suite, and results have the parameters of their
        method. Defaults of fields that were added later are excluded too, so that digests stay stable:
        uniform target, hashed noise, no selection by ``asks``, the bootstrap's scheme, fixed templates, and
        percentile intervals.
        """
        parts = self.model_dump(mode="json", exclude={*_NOT_MEASUREMENT, "target"})
        for use, stated in zip(self.prompts, parts["prompts"], strict=True):
            for name in _LATER_CHOICES:
                if getattr(use, name) == PromptUse.model_fields[name].default:
                    del stated[name]
        for name in ("scheme", "resample_templates", "intervals"):
            if getattr(self.bootstrap, name) == Bootstrap.model_fields[name].default:
                del parts["bootstrap"][name]
        if self.target != UNIFORM:
            parts["target"] = table_digest(table_of(self.target))
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @property
    def balanced(self) -> tuple[str, ...]:
        """The attributes to balance, in the order of ``attributes``."""
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
    # English order is age, skin, gender; suites list attributes in reverse.
    return " ".join(word.adjective for word in reversed(words))


def _noun(words: list[GroupWords]) -> str:
    head = next((word.noun for word in words if word.noun), "person")
    return " ".join([*(word.adjective for word in reversed(words) if not word.noun), head])


def load_suite(name: str) -> Suite:
    """Load the suite registered under ``name``, or from the TOML file at this path.

    Raises:
        EvenhandError: The name is unknown, the file is unreadable or malformed, or a value is not valid.
    """
    return read_suite(_file_of(name))


def _file_of(name: str, *, folder: Path = Path()) -> Path:
    """The file of a suite given by its name or by its path relative to ``folder``."""
    if name.endswith(".toml") or "/" in name:
        return folder / name
    if name in AUDIT_SUITES:
        raise EvenhandError(
            f"suite {name!r} is for audits and draws no images; run evenhand audit FOLDER --suite {name}"
        )
    return Path(str(SUITES.get(name)))


def read_suite(path: Path) -> Suite:
    """Read a suite file; errors name the file, line and field."""
    suite = _parameters_of_another(_tuned(_stated(path), path), path)
    # A run keeps the parameters themselves, because its folder has neither records nor other suites.
    tuning = suite.tuning and suite.tuning.model_copy(update={"records": ""})
    return suite.model_copy(update={"tuning": tuning, "methods_of": ""})


def _stated(path: Path) -> Suite:
    """The suite as the file states it."""
    text, data = read_toml(path, what="suite file")
    try:
        return Suite.model_validate(data)
    except EvenhandError as fault:
        raise EvenhandError(f"{path}: {fault}") from fault
    except ValidationError as fault:
        field, message = first_error(fault)
        line = _line_of(text, [str(part) for part in fault.errors()[0]["loc"]])
        raise EvenhandError(f"{path}:{line}: {field}: {message}") from fault


def _tuned(suite: Suite, path: Path) -> Suite:
    """The suite with the parameters of the records that it names."""
    if suite.tuning is None:
        return suite
    try:
        tuned, searches = tuned_parameters(
            suite.tuning, suite=suite.name, version=suite.version, folder=path.parent
        )
    except EvenhandError as fault:
        raise EvenhandError(f"{path}: {fault}") from fault
    return suite.model_copy(update={"tuned": suite.tuned | tuned, "searches": suite.searches | searches})


def _parameters_of_another(suite: Suite, path: Path) -> Suite:
    """The suite with the parameters of ``methods_of``, for methods of which it says nothing itself."""
    if not suite.methods_of:
        return suite
    other_path = _file_of(suite.methods_of, folder=path.parent)
    other = _stated(other_path)
    if other.methods_of or other.model != suite.model:
        raise EvenhandError(
            f"{path}: methods_of: must be a suite of model {suite.model!r} that states its own parameters, "
            f"got {suite.methods_of!r} of model {other.model!r}"
        )
    other = _tuned(other, other_path)

    def rest(found: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in found.items() if key.split(":")[0] not in suite.methods}

    return suite.model_copy(
        update={
            "methods": rest(other.methods) | suite.methods,
            "tuned": rest(other.tuned) | suite.tuned,
            "searches": rest(other.searches) | suite.searches,
        }
    )


def first_error(fault: ValidationError) -> tuple[str, str]:
    """The field of the first error, and what is wrong with it."""
    error = fault.errors()[0]
    message = _message(error)
    field = ".".join(str(part) for part in error["loc"]) or "suite"
    return field, f"{message[:1].lower()}{message[1:]}{_got(error)}"


def _message(error: ErrorDetails) -> str:
    if error["type"] == "too_long":
        return f"must have at most {error['ctx']['max_length']} entries; remove some"
    return error["msg"].removeprefix("Value error, ")


def _got(error: ErrorDetails) -> str:
    """The wrong value, for a message of pydantic that does not show it."""
    value = error["input"]
    plain = isinstance(value, str | int | float) and error["type"] not in ("value_error", "extra_forbidden")
    return f", got {value!r:.60}" if plain else ""


def _line_of(text: str, keys: list[str]) -> int:
    """Line number of the last of ``keys`` that is a key or table name in ``text``; 1 if there is none."""
    for key in reversed(keys):
        for number, line in enumerate(text.splitlines(), start=1):
            head = line.split("=")[0].strip().strip("[]").strip('"')
            if head == key or head.endswith(f".{key}"):
                return number
    return 1
