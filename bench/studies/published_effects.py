"""What the papers of the methods report about gender alone, read from ``published_effects.toml``."""

from __future__ import annotations

import math
import tomllib
from importlib.resources import files
from typing import Literal

from pydantic import Field

from evenhand.bench.errors import EvenhandError
from evenhand.bench.suites.evaluation_config import Spec
from evenhand.reports.leaderboard.literature import CONFIDENCE, Protocol, Reported, protocols, reported

DATA = "published_effects.toml"
BEST = {"fairimagen_fairness": 1.0}
"""Value of a metric for a fair model, where it is not 0."""


class Published(Spec):
    """What is published about a method; the file of the data explains the fields."""

    method: str
    labels: tuple[str, ...] = ()
    figures: Literal["own", "rival", "released", "none"]
    protocol: str = ""
    row: str = ""
    metric: str = ""
    baseline: float = math.nan
    value: float = math.nan
    effect: float = math.nan
    model: str = ""
    link: str = ""
    place: str = ""
    remark: str = ""
    because: str = ""

    model_config = Spec.model_config | {"allow_inf_nan": True}


class Claim(Spec):
    """A claim of MIST's paper.

    Attributes:
        name: What is claimed.
        source: Where.
        over: Methods that MIST is compared with.
        results: The results that test it: of gender alone, of joint cells, or of unedited occupations.
        measure: What is compared: the distance from the target, or the alignment of unrelated images.
    """

    name: str
    source: str
    over: tuple[str, ...]
    results: Literal["gender", "joint", "unedited"]
    measure: Literal["distance", "alignment"]


class Data(Spec):
    """The file of the published figures."""

    published: tuple[Published, ...] = Field(min_length=1)
    claim: tuple[Claim, ...]


def data() -> Data:
    """The published figures and claims, in the order of their file."""
    return Data.model_validate(tomllib.loads(files(__package__).joinpath(DATA).read_text(encoding="utf-8")))


def figures(one: Published) -> tuple[float, float, float]:
    """Baseline, value and relative effect as published; ``nan`` where they were not found.

    Raises:
        EvenhandError: The literature table lacks a row that ``one`` refers to.
    """
    baseline, value = one.baseline, one.value
    if one.protocol:
        baseline, value = (float(_reported_row(one, row).value) for row in ("baseline", one.row))
    if math.isfinite(one.effect):
        return baseline, value, one.effect
    best = BEST.get(one.metric, 0.0)
    return baseline, value, 1 - (value - best) / (baseline - best)


def _reported_row(one: Published, row: str) -> Reported:
    place = (one.protocol, row, one.metric, "gender", "")
    for found in reported():
        if (found.protocol, found.method, found.metric, found.attributes, found.concept) == place:
            return found
    raise EvenhandError(
        f"{DATA}: {one.method}: no {one.metric} of {row!r} in {one.protocol!r}; correct the row"
    )


def protocol_of(one: Published) -> Protocol | None:
    """The protocol of the figures, if they are in the literature tables."""
    return next((each for each in protocols() if each.protocol == one.protocol), None)


def how(one: Published) -> str:
    """How the figures were read."""
    if one.protocol:
        return CONFIDENCE[_reported_row(one, one.row).confidence]
    return {"released": CONFIDENCE["computed"], "own": CONFIDENCE["read"]}.get(one.figures, "")
