"""The part of a prompt set that a suite uses."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from evenhand.bench.suites.evaluation_config import Spec

MAX_USES = 100
"""Maximum number of prompt sets that a suite uses."""

MAX_CHOICES = 2000
"""Maximum number of concepts, templates and so on that are named; more need a separate prompt set."""


class PromptUse(Spec):
    """A prompt set and the part of it that the suite uses.

    Attributes:
        name: Registered prompt set, or the path of a CSV.
        seeds: Images per prompt.
        kinds: Kinds of prompts used; empty for all.
        concepts: Concepts used; empty for all.
        templates: Templates used; empty for all.
        asks: Of the prompts that name groups, use those that name a group of each of these attributes; empty
            for all.
        limit: Maximum number of prompts, evenly spaced over the set; 0 for all.
        noise: ``hashed`` for seeds that differ between prompts
            (:func:`evenhand.bench.prompts.plan.noise_seed`), ``listed`` for the seeds in the prompt set.
    """

    name: str
    seeds: int = Field(gt=0, le=100_000)
    kinds: tuple[str, ...] = Field(default=(), max_length=MAX_CHOICES)
    concepts: tuple[str, ...] = Field(default=(), max_length=MAX_CHOICES)
    templates: tuple[str, ...] = Field(default=(), max_length=MAX_CHOICES)
    asks: tuple[str, ...] = Field(default=(), max_length=MAX_CHOICES)
    limit: int = Field(default=0, ge=0)
    noise: Literal["hashed", "listed"] = "hashed"
