"""The development suite: what a trial may see. Scored prompts and concepts are refused."""

from __future__ import annotations

from evenhand.bench.errors import EvenhandError
from evenhand.bench.prompts.plan import make_plan
from evenhand.bench.prompts.selection import require_neutral
from evenhand.bench.suites.evaluation_config import Bootstrap
from evenhand.bench.suites.suite import Suite
from evenhand.metrics.table import PERSON_KINDS


def development_suite(suite: Suite) -> Suite:
    """The suite of the trials: the development prompts and judges with the model and sampler of ``suite``.

    Raises:
        EvenhandError: The suite has no tuning protocol, its development prompts include no neutral ones, or
            one of them or its concept is scored.
    """
    protocol = suite.tuning
    if protocol is None:
        raise EvenhandError(f"suite {suite.name!r} has no [tuning] table, so methods cannot be tuned on it")
    development = suite.model_copy(
        update={
            "name": f"{suite.name}-development",
            "title": f"{suite.title}: development prompts",
            "prompts": protocol.prompts,
            "report": tuple(dict.fromkeys([*((name,) for name in suite.primary), suite.primary])),
            "panel": protocol.panel,
            "non_voting_judges": (),
            "calibration": "",
            "metrics": (),
            "defaults": (),
            "fits": 1,
            "bootstrap": Bootstrap(draws=protocol.draws, seed=suite.bootstrap.seed),
            "tuning": None,
            "tuned": {},
            "searches": {},
        }
    )
    require_neutral(development, table="tuning.prompts")
    _check_unseen(suite, development)
    return development


def screening_suite(suite: Suite, development: Suite) -> Suite:
    """The suite of the trials of the first stage; the development suite if there is only one stage.

    Args:
        suite: The suite that methods are tuned for.
        development: Its development suite.

    Raises:
        EvenhandError: The first stage has more steps than the suite.
    """
    screening = suite.tuning.screening if suite.tuning else None
    if screening is None:
        return development
    if screening.steps > suite.protocol.steps:
        raise EvenhandError(
            f"tuning.screening.steps must be at most {suite.protocol.steps}, the steps of suite "
            f"{suite.name!r}, got {screening.steps}"
        )
    return development.model_copy(
        update={
            "name": f"{suite.name}-screening",
            "title": f"{suite.title}: development prompts, first stage",
            "protocol": development.protocol.model_copy(update={"steps": screening.steps}),
            "prompts": tuple(
                use.model_copy(update={"seeds": min(use.seeds, screening.seeds)})
                for use in development.prompts
            ),
        }
    )


def _check_unseen(suite: Suite, development: Suite) -> None:
    scored, seen = make_plan(suite)[0], make_plan(development)[0]
    texts = {item.prompt.text for item in scored}
    concepts = {item.prompt.concept for item in scored if item.prompt.kind in PERSON_KINDS}
    for item in seen:
        prompt = item.prompt
        if prompt.text in texts:
            raise EvenhandError(
                f"development prompt {prompt.text[:60]!r} is scored by suite {suite.name!r}; "
                "remove it from [[tuning.prompts]]"
            )
        if prompt.kind in PERSON_KINDS and prompt.concept in concepts:
            raise EvenhandError(
                f"development concept {prompt.concept[:60]!r} is scored by suite {suite.name!r}; "
                "remove it from [[tuning.prompts]]"
            )
