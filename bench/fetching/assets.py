"""The model, judges and scorer of a suite, and where their files come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evenhand.bench.errors import EvenhandError, unknown
from evenhand.bench.fetching.hub import offline
from evenhand.bench.models.loading import find_model, list_models
from evenhand.bench.models.single_file import is_checkpoint
from evenhand.bench.prompts.selection import method_uses
from evenhand.bench.registry import spec_text
from evenhand.bench.registry.entry_points import JUDGES, SUITES
from evenhand.bench.registry.judge_spec import judge_name, judge_recipe, load_judge
from evenhand.bench.stages.resources import load_scorer
from evenhand.bench.suites.audit_suite import load_audit_suite
from evenhand.bench.suites.suite import Suite, load_suite
from evenhand.metrics.vision.hub import hub_name
from evenhand.metrics.vision.weight_source import WeightSource


@dataclass(frozen=True)
class Asset:
    """Something that a suite loads and that may have to be fetched.

    Attributes:
        kind: What it is.
        name: Its name in the suite.
        sources: Where its files come from; empty for what is part of the package.
        find: Finds its files on this machine, or downloads them where that is allowed.
    """

    kind: Literal["model", "judge", "scorer"]
    name: str
    sources: tuple[WeightSource, ...]
    find: Callable[[], object]

    def fault(self) -> str:
        """Why it cannot be used as this machine is now, in one line; empty if it can."""
        try:
            with offline():
                self.find()
        except EvenhandError as fault:
            return str(fault)
        return ""


def assets_of_suite(suite: Suite, methods: Sequence[str] | None = None) -> list[Asset]:
    """What a run of a suite loads: the model, the judges with those of the methods' loops, the scorer.

    Args:
        suite: The suite.
        methods: The methods of the run; the suite's defaults if ``None``.

    Raises:
        EvenhandError: A method or judge is unknown.
    """
    steering = (use.method.steering_judge for use in method_uses(suite, methods))
    judges = dict.fromkeys([*suite.panel, *suite.non_voting_judges, *filter(None, steering)])
    scorers = [_scorer(suite.scorer)] if suite.scorer else []
    return [_model(suite.model), *(_judge(name) for name in judges), *scorers]


def assets_of(name: str, methods: Sequence[str] | None = None) -> list[Asset]:
    """What ``name`` needs: a suite or its TOML file, a judge, or a model.

    Raises:
        EvenhandError: There is no suite, judge or model of this name.
    """
    if (audits := load_audit_suite(name)) is not None:
        judges = [*audits.panel, *audits.non_voting_judges, *(one.judge for one in audits.optional)]
        return [_judge(judge_name(judge)) for judge in judges]
    if name in SUITES.names() or name.endswith(".toml"):
        return assets_of_suite(load_suite(name), methods)
    if name.partition(":")[0] in JUDGES.names():
        return [_judge(judge_name(name))]
    if name in list_models() or hub_name(name) or Path(name).is_dir() or is_checkpoint(Path(name)):
        return [_model(name)]
    raise unknown("suite, judge or model", name, [*SUITES.names(), *JUDGES.names(), *list_models()])


def _model(name: str) -> Asset:
    path = Path(name)
    if name in list_models():
        sources: tuple[WeightSource, ...] = ()
    elif path.is_dir() or is_checkpoint(path):
        sources = (WeightSource(name, place=path, address=name),)
    else:
        sources = (WeightSource(name, repository=name),)
    return Asset("model", name, sources, lambda: find_model(name))


def _judge(name: str) -> Asset:
    short, given = spec_text.split(name, kind="judge")
    recipe = judge_recipe(short)
    made = spec_text.build(recipe, short, given, kind="judge") if recipe else None
    return Asset("judge", name, made.sources() if made else (), lambda: load_judge(name))


def _scorer(name: str) -> Asset:
    sources = () if name == "mini" or Path(name).is_dir() else (WeightSource(name, repository=name),)
    return Asset("scorer", name, sources, lambda: load_scorer(name))
