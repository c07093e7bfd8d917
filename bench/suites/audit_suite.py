"""Suites for audits: how photographs are judged, without a model or prompts."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from evenhand.bench.errors import EvenhandError, NotInstalledError, unknown
from evenhand.bench.parsing.strict_toml import read_toml
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.bench.suites import AUDIT_SUITES
from evenhand.bench.suites.evaluation_config import MAX_JUDGES, EvaluationConfig, EvaluationSettings, Spec

MAX_CELLS = 200
"""Maximum number of cells of an attribute set, as for suites with a model."""


class OptionalJudge(Spec):
    """A judge that is used where its weights are on the machine.

    Attributes:
        judge: Its name, with parameters.
        votes: Whether it votes; a non-voting judge is measured and shown.
        origin: Where its weights come from, for the message that they are missing.
    """

    judge: str
    votes: bool = True
    origin: str


class AuditSuite(EvaluationSettings):
    """The settings of audits with judges that may be missing.

    Attributes:
        name: Name of the suite.
        version: Its version.
        title: Its title.
        description: What it measures.
        attributes: Attributes to groups, in order; one that no voting judge on the machine knows is left out.
        optional: Judges besides the panel, used where their weights are.
    """

    name: str
    version: str
    title: str
    description: str = ""
    attributes: dict[str, tuple[str, ...]]
    optional: tuple[OptionalJudge, ...] = Field(default=(), max_length=MAX_JUDGES)

    @property
    def taxonomy(self) -> dict[str, tuple[str, ...]]:
        """Attributes to groups, in order."""
        return self.attributes

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for names in (self.primary, *self.report):
            for name in names:
                if name not in self.attributes:
                    raise ValueError(f"attribute {name!r} is not in [attributes]")
            if math.prod(len(self.attributes[name]) for name in names) > MAX_CELLS:
                raise ValueError(f"attribute set {list(names)} must have at most {MAX_CELLS} cells")
        self.check_target()
        return self

    def here(self) -> tuple[EvaluationConfig, dict[str, str]]:
        """The settings with the judges on this machine, and attributes without one to what is missing.

        Raises:
            EvenhandError: A judge of the panel is missing, or no attribute is left.
        """
        found = [one for one in self.optional if _is_here(one.judge)]
        settings = {name: getattr(self, name) for name in EvaluationSettings.model_fields}
        settings["panel"] = (*self.panel, *(one.judge for one in found if one.votes))
        settings["non_voting_judges"] += tuple(one.judge for one in found if not one.votes)
        whole = EvaluationConfig(attributes=self.attributes, **settings)
        known = {name for judge in whole.panel for name in load_judge(judge).info.taxonomies}
        lost = [name for name in self.attributes if name not in known]
        config = restricted(whole, [name for name in self.attributes if name in known])
        return config, {name: self._missing(name, found) for name in lost}

    def _missing(self, attribute: str, found: Sequence[OptionalJudge]) -> str:
        ways = [f"{one.judge} ({one.origin})" for one in self.optional if one not in found and one.votes]
        return (
            f"{attribute} is not audited, because no judge for it has its weights here; run evenhand fetch "
            f"with one of: {', '.join(ways)}"
        )


def _is_here(judge: str) -> bool:
    """Whether a judge is on this machine; downloads nothing unless that is allowed.

    Raises:
        EvenhandError: It is, and cannot be loaded.
    """
    try:
        load_judge(judge)
    except NotInstalledError:
        return False
    return True


def restricted(config: EvaluationConfig, attributes: Collection[str]) -> EvaluationConfig:
    """The settings for some of their attributes, without the judges that know none of them.

    Raises:
        EvenhandError: An attribute is unknown, or none is given.
    """
    for name in attributes:
        if name not in config.attributes:
            raise unknown("attribute for --attribute:", name, config.attributes)
    kept = {name: groups for name, groups in config.attributes.items() if name in attributes}
    if not kept:
        raise EvenhandError("no attribute is left to audit; name one with --attribute")
    if kept == config.attributes:
        return config
    sets = [names for names in config.report if set(names) <= set(kept)]
    sets = list(dict.fromkeys([*((name,) for name in kept), *sets]))
    return config.model_copy(
        update={
            "attributes": kept,
            "report": tuple(sets),
            "primary": config.primary if config.primary in sets else sets[0],
            "panel": knowing(config.panel, kept),
            "non_voting_judges": knowing(config.non_voting_judges, kept),
        }
    )


def knowing(judges: Sequence[str], attributes: Collection[str]) -> tuple[str, ...]:
    """The judges that know at least one of the attributes."""
    return tuple(name for name in judges if not {*attributes}.isdisjoint(load_judge(name).info.taxonomies))


def load_audit_suite(name: str) -> AuditSuite | None:
    """The audit suite called ``name`` or in this file; ``None`` if it is a suite with a model.

    Raises:
        EvenhandError: The file cannot be read, or is not valid.
    """
    path = AUDIT_SUITES.get(name) or (Path(name) if name.endswith(".toml") else None)
    if path is None:
        return None
    data: Mapping[str, Any] = read_toml(path, what="suite file")[1]
    if "model" in data or "protocol" in data:
        return None
    try:
        return AuditSuite.model_validate(data)
    except EvenhandError as fault:
        raise EvenhandError(f"{path}: {fault}") from fault
    except ValidationError as fault:
        error = fault.errors()[0]
        field = ".".join(str(part) for part in error["loc"]) or "suite"
        reason = error["msg"].removeprefix("Value error, ")
        raise EvenhandError(f"{path}: {field}: {reason[:1].lower()}{reason[1:]}") from fault
