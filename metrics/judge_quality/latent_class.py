"""What several raters' answers say of the truth when nobody knows it: Dawid-Skene and Hui-Walter.

The model: every image has one true class; every rater errs with probabilities of its own that depend on
the true class alone; raters err independently given the truth. One population is Dawid and Skene's model;
several populations with shares of their own and the same errors are Hui and Walter's. Raters that learned
from the same data break the assumption, and then the estimate is confidently wrong: among judges it is a
diagnostic, never the headline (measurement.md 3.8). Among humans who answer apart it makes a fair truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from scipy.special import logsumexp

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.representation import FloatArray

MISSING = -1
"""Code of an answer that was not given."""

SMOOTHING = 0.1
"""Pseudo-answers in each cell of an error matrix; 0 gives plain maximum likelihood."""

STARTS = 10
"""Random starts besides the one from the raters' votes."""

TOLERANCE = 1e-8
"""Relative change of the log-likelihood at which a start is finished."""

STEPS = 2000
"""Most steps of one start."""

Answers = NDArray[np.int64]
"""``(items, raters)`` answer codes from 0; :data:`MISSING` where there is none."""


@dataclass(frozen=True)
class LatentClasses:
    """A fitted model.

    Attributes:
        posteriors: ``(N, K)``, probability of each true class for each item; rows sum to 1.
        shares: ``(P, K)``, shares of the classes in each population.
        errors: ``(J, K, L)``, probability of each answer of each rater given the true class.
        log_likelihood: Natural logarithm of the likelihood of all answers.
        steps: EM steps of the best start.
        converged: Whether the best start met :data:`TOLERANCE`.
    """

    posteriors: FloatArray
    shares: FloatArray
    errors: FloatArray
    log_likelihood: float
    steps: int
    converged: bool


def code_abstention(answers: Answers, *, classes: int, mode: Literal["missing", "answer"]) -> Answers:
    """Codes from ``classes`` on (a rater who cannot tell) as missing, or as one more answer.

    Missing supposes that abstaining says nothing of the truth; run both and show the difference
    (measurement.md 3.8). One more answer may also be one more class: give the model ``classes + 1``.
    """
    if mode == "missing":
        return np.where(answers >= classes, MISSING, answers)
    return np.minimum(answers, classes)


def dawid_skene(
    answers: ArrayLike,
    *,
    classes: int,
    choices: int | None = None,
    populations: ArrayLike | None = None,
    anchors: ArrayLike | None = None,
    smoothing: float = SMOOTHING,
    starts: int = STARTS,
    seed: int = 0,
) -> LatentClasses:
    """Fits the latent class model by EM in logarithms, from the votes and from random starts.

    M-step: shares are mean posteriors, ``E_j[k][l] = (answers l weighted by T[.][k] + beta) / (answers
    weighted by T[.][k] + beta L)``. E-step: ``log T[i][k] = log pi_k + sum_j log E_j[k][x_ij] + const``. The
    start of the highest likelihood is kept, and its classes are named so that the raters' mean diagonal is
    largest (the likelihood does not know the names). Equal answer patterns are computed once.
    Source: Dawid and Skene 1979; Hui and Walter 1980; measurement.md 3.8.

    Args:
        answers: ``(N, J)`` codes below ``choices``, :data:`MISSING` where there is none.
        classes: True classes ``K``; answer ``k`` is the right one for class ``k``.
        choices: Possible answers ``L >= K``; ``K`` if ``None``. More than ``K`` lets abstention inform.
        populations: ``(N,)`` population of each item, from 0; one population if ``None``.
        anchors: ``(N,)`` known class of each item, :data:`MISSING` where unknown; it stays as it is.
        smoothing: ``beta``.
        starts: Random starts besides the one from the votes.
        seed: Seed of the random starts.

    Raises:
        EvenhandError: There is no answer, or a code is out of range.
    """
    data = _Patterns.of(answers, classes, choices or classes, populations, anchors)
    rng = np.random.default_rng(seed)
    begin = [data.votes(), *(rng.dirichlet(np.ones(classes), len(data.counts)) for _ in range(starts))]
    fits = [_climb(data, start, smoothing=smoothing) for start in begin]
    best = max(fits, key=lambda fit: fit.log_likelihood)
    return _named(best, clamped=bool((data.anchors != MISSING).any()), back=data.back)


def hui_walter(
    answers: ArrayLike, *, classes: int, populations: ArrayLike, smoothing: float = 0.0, seed: int = 0
) -> LatentClasses:
    """Two raters, two populations with different shares and the same errors: the same EM, identified.

    A practical second population are the images of explicit prompts, whose shares are near 1 and 0.
    Source: Hui and Walter 1980; measurement.md 3.8.

    Args:
        answers: ``(N, J)``, see :func:`dawid_skene`.
        classes: True classes.
        populations: ``(N,)`` population of each item.
        smoothing: See :func:`dawid_skene`.
        seed: See :func:`dawid_skene`.

    Raises:
        EvenhandError: There are fewer than two populations.
    """
    found = len(np.unique(np.asarray(populations)))
    if found < 2:
        raise EvenhandError(
            f"Hui-Walter needs two populations with different shares and got {found}; add the images of "
            "explicit prompts as a second one"
        )
    return dawid_skene(answers, classes=classes, populations=populations, smoothing=smoothing, seed=seed)


@dataclass(frozen=True)
class _Patterns:
    """The different rows of answers, population and anchor: ``U`` of them."""

    answers: Answers
    populations: NDArray[np.int64]
    anchors: NDArray[np.int64]
    counts: FloatArray
    back: NDArray[np.int64]
    classes: int
    choices: int

    @classmethod
    def of(
        cls,
        answers: ArrayLike,
        classes: int,
        choices: int,
        populations: ArrayLike | None,
        anchors: ArrayLike | None,
    ) -> _Patterns:
        given = np.atleast_2d(np.asarray(answers, np.int64))
        _check(given, "answer", choices)
        if not (given != MISSING).any():
            raise EvenhandError("latent class model: there is no answer; give each item an answer or drop it")
        n = len(given)
        population = np.zeros(n, np.int64) if populations is None else np.asarray(populations, np.int64)
        known = np.full(n, MISSING) if anchors is None else np.asarray(anchors, np.int64)
        _check(known, "anchor", classes)
        rows = np.column_stack([given, population, known])
        unique, back, counts = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
        return cls(
            answers=unique[:, :-2],
            populations=unique[:, -2],
            anchors=unique[:, -1],
            counts=counts.astype(float),
            back=back.ravel(),
            classes=classes,
            choices=choices,
        )

    def clamp(self, posteriors: FloatArray) -> FloatArray:
        """The posteriors with those of anchors set to their class."""
        known = self.anchors != MISSING
        fixed = posteriors.copy()
        fixed[known] = np.eye(self.classes)[self.anchors[known]]
        return fixed

    def votes(self) -> FloatArray:
        """Shares of the votes for each class, ``(U, K)``; even where nobody named a class."""
        votes = (self.answers[..., None] == np.arange(self.classes)).sum(axis=1).astype(float)
        votes[votes.sum(axis=1) == 0] = 1
        return np.asarray(votes / votes.sum(axis=1, keepdims=True))

    def given(self) -> FloatArray:
        """Which answer each rater gave, ``(U, J, L)`` of 0 and 1; all 0 where missing."""
        return np.asarray(self.answers[..., None] == np.arange(self.choices), float)


def _check(codes: NDArray[np.int64], what: str, limit: int) -> None:
    wrong = codes[(codes < MISSING) | (codes >= limit)]
    if len(wrong):
        raise EvenhandError(
            f"latent class model: {what} code {wrong[0]} is out of range; codes are 0 to {limit - 1}, "
            f"{MISSING} for none"
        )


def _climb(data: _Patterns, start: FloatArray, *, smoothing: float) -> LatentClasses:
    """EM from one start; posteriors are those of the patterns, ``(U, K)``."""
    posteriors, given = data.clamp(start), data.given()
    last, steps, converged = -np.inf, 0, False
    while not converged and steps < STEPS:
        shares, errors = _maximise(data, posteriors, given, smoothing=smoothing)
        joint = _log_joint(data, shares, errors)
        likelihood = logsumexp(joint, axis=1)
        posteriors = np.exp(joint - likelihood[:, None])
        total = float(data.counts @ likelihood)
        converged = abs(total - last) < TOLERANCE * abs(total)
        last, steps = total, steps + 1
    return LatentClasses(posteriors, shares, errors, last, steps, converged)


def _maximise(
    data: _Patterns, posteriors: FloatArray, given: FloatArray, *, smoothing: float
) -> tuple[FloatArray, FloatArray]:
    """Shares ``(P, K)`` and errors ``(J, K, L)`` from posteriors; a rater who never met a class is even."""
    weights = posteriors * data.counts[:, None]
    belongs = np.eye(int(data.populations.max()) + 1)[data.populations]
    shares = belongs.T @ weights
    counts = np.einsum("uk,ujl->jkl", weights, given) + smoothing
    met = counts.sum(axis=-1, keepdims=True)
    even = np.full_like(counts, 1 / data.choices)
    errors = np.divide(counts, met, out=even, where=met > 0)
    return shares / shares.sum(axis=1, keepdims=True), errors


def _log_joint(data: _Patterns, shares: FloatArray, errors: FloatArray) -> FloatArray:
    """``log P(class, answers)`` of each pattern, ``(U, K)``; an anchor's other classes are impossible."""
    with np.errstate(divide="ignore"):
        prior, said = np.log(shares), np.log(errors)
    # One column more, reached by the code of a missing answer, says nothing.
    said = np.concatenate([said, np.zeros((*said.shape[:-1], 1))], axis=-1)
    raters = np.arange(data.answers.shape[1])
    joint = prior[data.populations] + said[raters, :, data.answers].sum(axis=1)
    known = data.anchors != MISSING
    other = known[:, None] & (np.arange(data.classes) != data.anchors[:, None])
    return np.where(other, -np.inf, joint)


def _named(fit: LatentClasses, *, clamped: bool, back: NDArray[np.int64]) -> LatentClasses:
    """The fit for items instead of patterns, its classes in the order of the answers they go with."""
    order: Sequence[int] = np.arange(fit.shares.shape[1]).tolist()
    if not clamped:
        _, order = linear_sum_assignment(-fit.errors.mean(axis=0)[:, : len(order)].T)
    return LatentClasses(
        posteriors=fit.posteriors[back][:, order],
        shares=fit.shares[:, order],
        errors=fit.errors[:, order],
        log_likelihood=fit.log_likelihood,
        steps=fit.steps,
        converged=fit.converged,
    )
