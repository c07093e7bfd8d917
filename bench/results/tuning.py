"""The record of a tuned method, ``tuning/<suite>/<method>.json``: what was tried, and what won."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from evenhand.bench.errors import EvenhandError
from evenhand.bench.parsing.strict_json import load_json
from evenhand.bench.results.method_card import without_defaults
from evenhand.metrics.rows import Real, Record

TUNING_SCHEMA = 1

MAX_BYTES = 2**24
"""Maximum size of a record; a thousand trials take a tenth of it."""

Origin = Literal["start", "quasi-random", "tpe", "finalist", "longer"]
"""Where a configuration comes from: ``start`` has the suite's parameters and the method's defaults,
``finalist`` repeats one of the best of the first stage, ``longer`` is the best one with a longer training."""


FIXED_BEFORE = ("start", "quasi-random")
"""Origins of trials that no result has influenced, so that their order is arbitrary."""

LATER = ("finalist", "longer")
"""Origins of trials that follow the search."""


class HarmRow(Record):
    """A loss against the baseline in a trial."""

    name: str = Field(description="what was lost, with attribute and group")
    value: Real = Field(description="the loss")
    margin: Real = Field(description="the loss that the gate allows")


class Trial(Record):
    """One configuration and how it did on the development prompts."""

    number: int
    origin: Origin
    parameters: dict[str, Any] = Field(description="parameters of the search space")
    status: Literal["finished", "failed", "over budget"]
    reason: str = Field(default="", description="why there is no result")
    distance: Real = Field(description="RMSDelta of the suite's primary attribute set; nan without a result")
    low: Real
    high: Real
    harms: list[HarmRow] = Field(default_factory=list)
    passes: int = Field(description="U-Net passes of the fit")
    processor: str = Field(
        default="", description="what drew the images; another kind changes the last digits of the losses"
    )

    @model_serializer(mode="wrap")
    def _without_an_unknown_processor(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Trials from before processors were stated keep the bytes, and the digest, that they had."""
        return without_defaults(self, handler(self), ("processor",))

    @property
    def worst(self) -> HarmRow | None:
        """The loss that comes closest to its margin, or exceeds it most; ``None`` without any."""
        return max(self.harms, key=lambda harm: harm.value / harm.margin, default=None)

    @property
    def violation(self) -> float:
        """By how much the worst harm exceeds its margin, relative to the margin; 0 if none does.

        Infinite where a harm could not be measured, because nothing then says that it is small.
        """
        if any(math.isnan(harm.value) for harm in self.harms):
            return math.inf
        return max((0.0, *(harm.value / harm.margin - 1 for harm in self.harms)))

    @property
    def score(self) -> float:
        """What the search minimises: the distance, or more than any distance if a gate fails."""
        if self.status != "finished":
            return float("inf")
        return self.distance if self.violation == 0 else 1 + self.violation


class ScreeningRecord(Record):
    """A first stage that tried every configuration with less effort."""

    development: str = Field(description="digest of the suite of the first stage")
    steps: int = Field(description="denoising steps")
    seeds: int = Field(description="largest number of images of a prompt")
    finalists: int = Field(description="largest number of configurations that were repeated in full")
    baseline: Real = Field(description="distance of the baseline in the first stage")


class LengtheningRecord(Record):
    """A last stage that trains the best configuration longer, as long as this helps."""

    factor: int = Field(description="how many times as long the next training is")
    passes: int = Field(description="largest number of U-Net passes of one fit")
    ended: str = Field(default="", description="why no longer training follows; empty if one may follow")


class TuningRecord(Record):
    """The search over one method's parameters on one suite."""

    schema_version: int = TUNING_SCHEMA
    suite: str
    suite_version: str
    development: str = Field(description="digest of the development suite: prompts, judges, sampler, budget")
    method: str
    method_version: str
    model_revision: str
    seed: int
    trials_planned: int
    passes_allowed: int = Field(description="largest number of U-Net passes of one fit")
    fixed: dict[str, Any] = Field(description="parameters that the suite fixes")
    space: dict[str, dict[str, Any]]
    baseline: Real = Field(description="distance of the baseline on the development prompts")
    screening: ScreeningRecord | None = None
    lengthening: LengtheningRecord | None = None
    trials: list[Trial] = Field(default_factory=list)

    @model_serializer(mode="wrap")
    def _without_an_absent_stage(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Records of one stage keep the bytes, and the digest, that they had before there were stages."""
        return without_defaults(self, handler(self), ("screening", "lengthening"))

    @property
    def begun(self) -> TuningRecord:
        """The record as it was before its first trial."""
        stage = self.lengthening and self.lengthening.model_copy(update={"ended": ""})
        return self.model_copy(update={"trials": [], "lengthening": stage})

    @property
    def parameters(self) -> list[str]:
        """Names of the parameters that differ between trials: the space, then those of a longer training."""
        names = [*self.space, *(name for trial in self.trials for name in trial.parameters)]
        return list(dict.fromkeys(names))

    def value(self, trial: Trial, parameter: str) -> Any:
        """The value of a parameter in a trial; "default" if it is the method's."""
        return trial.parameters.get(parameter, self.fixed.get(parameter, "default"))

    @property
    def searched(self) -> list[Trial]:
        """The trials of the search, without finalists and longer trainings."""
        return [trial for trial in self.trials if trial.origin not in LATER]

    @property
    def finalists(self) -> list[Trial]:
        """The trials of the search that are repeated in full, the best first; empty before its end."""
        if self.screening is None or len(self.searched) < self.trials_planned:
            return []
        return _ranked(trial for trial in self.searched if trial.status == "finished")[
            : self.screening.finalists
        ]

    @property
    def finished(self) -> bool:
        """Whether all planned trials are there."""
        ended = self.lengthening is None or bool(self.lengthening.ended)
        return ended and len(self.trials) >= self.trials_planned + len(self.finalists)

    @property
    def winner(self) -> Trial | None:
        """The trial of the lowest score, the earlier one of equals; ``None`` if no trial finished.

        After a first stage, only a finalist can win, or one with a longer training.
        """
        return next(iter(_ranked(trial for trial in self._measured if trial.status == "finished")), None)

    @property
    def _measured(self) -> list[Trial]:
        """The trials with the sampler of the suite and all development images."""
        return [trial for trial in self.trials if not self.screening or trial.origin in LATER]

    def is_winner(self, trial: Trial) -> bool:
        """Whether this trial has won; trials may contain ``nan``, so they are compared by number."""
        return self.winner is not None and trial.number == self.winner.number

    @property
    def ranked(self) -> list[Trial]:
        """The trials, the best first; those of a first stage last, which were measured with less effort."""
        return [*_ranked(self._measured), *(_ranked(self.searched) if self.screening else ())]

    @property
    def fixed_before(self) -> list[Trial]:
        """The finished trials that were chosen before any result: the start and the quasi-random ones."""
        return [trial for trial in self.trials if trial.origin in FIXED_BEFORE and trial.status == "finished"]

    @property
    def best_of_k(self) -> list[float]:
        """Expected best distance of ``k`` of the trials chosen before any result, drawn at random.

        A trial that exceeds a gate counts as 1. Proposed trials are left out: each depends on the results of
        earlier ones. Empty where no trial is within the gates.
        """
        if all(trial.violation for trial in self.fixed_before):
            return []
        return best_of_k([min(trial.score, 1.0) for trial in self.fixed_before])

    @property
    def passes(self) -> int:
        """U-Net passes of all fits."""
        return sum(trial.passes for trial in self.trials)

    @property
    def processors(self) -> list[str]:
        """The processors that drew the trials, as far as they are known; several if the search moved."""
        return list(dict.fromkeys(trial.processor for trial in self.trials if trial.processor))

    def digest(self) -> str:
        """SHA-256 of the record without the digest."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def text(self) -> str:
        """The file's content: the record, its winner and its digest."""
        winner = self.winner
        body = self.model_dump(mode="json") | {
            "winner": winner.parameters if winner else None,
            "digest": self.digest(),
        }
        return json.dumps(body, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _ranked(trials: Iterable[Trial]) -> list[Trial]:
    """The trials by score, the earlier one of equals first."""
    return sorted(trials, key=lambda trial: (trial.score, trial.number))


def best_of_k(scores: Sequence[float]) -> list[float]:
    """Expected lowest score of ``k`` trials drawn without replacement, for ``k`` from 1 to all.

    As in Dodge et al. (2019), "Show your work", but without replacement: the lowest of ``k`` of ``n``
    scores is the ``i``-th lowest with probability ``C(n - i, k - 1) / C(n, k)``.
    """
    import numpy as np
    from scipy.special import comb

    ordered = np.sort(np.asarray(scores, float))
    n = len(ordered)
    place = np.arange(1, n + 1)
    return [float((comb(n - place, k - 1) * ordered).sum() / comb(n, k)) for k in place]


def read_tuning(path: Path) -> TuningRecord:
    """The record at ``path``.

    Raises:
        EvenhandError: The file is missing or not such a record, or was changed by hand.
    """
    try:
        body = load_json(path, max_bytes=MAX_BYTES)
        winner, digest = body.pop("winner"), body.pop("digest")
        record = TuningRecord.model_validate(body)
    except FileNotFoundError as fault:
        raise EvenhandError(f"{path}: no such file; run `evenhand tune` to create it") from fault
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        raise EvenhandError(f"{path}: not a tuning record ({fault}); run `evenhand tune` again") from fault
    if record.digest() != digest or (record.winner and record.winner.parameters) != winner:
        raise EvenhandError(
            f"{path}: digest does not match; the file was changed by hand, so run `evenhand tune` again"
        )
    return record
