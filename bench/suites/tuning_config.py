"""How methods are tuned for a suite: development prompts, a development judge, and a budget."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from evenhand.bench.suites.evaluation_config import MAX_JUDGES, Spec
from evenhand.bench.suites.prompt_use import MAX_USES, PromptUse


class Screening(Spec):
    """A first stage that tries every configuration with less effort, for models that draw slowly.

    Attributes:
        finalists: How many of the best configurations are repeated with the sampler of the suite and all
            development images. Only these can win.
        steps: Denoising steps of the first stage.
        seeds: Largest number of images of a prompt in the first stage.
    """

    finalists: int = Field(default=4, gt=0, le=1000)
    steps: int = Field(gt=0, le=1000)
    seeds: int = Field(gt=0)


class Lengthening(Spec):
    """A last stage that trains the best configuration of a method longer, as long as this helps.

    Attributes:
        factor: How many times as long the next training is.
        passes: Largest number of U-Net passes of one fit.
    """

    factor: int = Field(default=4, gt=1, le=1000)
    passes: int = Field(gt=0)


class Tuning(Spec):
    """The tuning protocol of a suite; the same for every method.

    Attributes:
        prompts: The development prompts. None of their texts, and none of the concepts of those that show
            people, may be scored.
        panel: The judges of the trials.
        trials: Configurations tried for each method.
        quasi_random: How many of them are quasi-random (Sobol); the rest are proposed by TPE (Bergstra et
            al., 2011) from the earlier ones.
        passes: Largest number of U-Net passes of one fit of the search.
        seed: Seed of the search.
        draws: Bootstrap draws of the interval beside each trial.
        screening: A first stage with less effort; ``None`` if every trial has the suite's sampler and all
            development images.
        records: Folder of the records whose winners the suite uses, relative to its file; empty for none.
    """

    prompts: tuple[PromptUse, ...] = Field(min_length=1, max_length=MAX_USES)
    panel: tuple[str, ...] = Field(min_length=1, max_length=MAX_JUDGES)
    trials: int = Field(default=16, gt=0, le=1000)
    quasi_random: int = Field(default=12, gt=0, le=1000)
    passes: int = Field(default=8000, gt=0)
    seed: int = Field(default=0, ge=0, lt=2**32)
    draws: int = Field(default=500, ge=100, le=100_000)
    screening: Screening | None = None
    lengthening: Lengthening | None = None
    records: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.quasi_random > self.trials:
            raise ValueError(
                f"quasi_random must be at most trials, got {self.quasi_random} of {self.trials} trials"
            )
        if self.screening and self.screening.finalists > self.trials:
            raise ValueError(
                f"screening.finalists must be at most trials, got {self.screening.finalists} of "
                f"{self.trials} trials"
            )
        return self
