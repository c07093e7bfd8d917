"""Tests of a submission against fresh noise, on simulations with known truth."""

import numpy as np
import pandas as pd
import pytest
from helpers.report import a_result, an_estimate

from evenhand.bench.leaderboard.verification.agreement import agreement, deviations, family_gaps
from evenhand.bench.results.fresh import JUDGE_MARGIN
from evenhand.bench.results.lookup import Key

CONCEPTS = [f"occupation {number}" for number in range(35)]
KEY = Key("rms_delta", "gender", "panel", False)
IMAGES = 30
GROUPS = ("woman", "man")
FAMILIES = {"clip": "image-text", "vit": "supervised", "ita": "colour"}


def a_measurement(values):
    """A result with these squared distances of the concepts."""
    rows = [
        an_estimate("excess_agreement", float(value), attributes="gender", concept=concept)
        for concept, value in zip(CONCEPTS, values, strict=True)
    ]
    result = a_result("mist", concepts=CONCEPTS)
    return result.model_copy(update={"estimates": rows})


def drawn(shares, rng, *, times=1):
    """Unbiased squared deviations of the observed shares of two groups, ``(times, concepts)``."""
    women = rng.binomial(IMAGES, shares, size=(times, len(shares)))
    observed = women / IMAGES
    noise = 2 * observed * (1 - observed) / (IMAGES - 1)
    return (2 * (observed - 0.5) ** 2 - noise) / 0.5


@pytest.fixture(scope="module")
def shares():
    return np.random.default_rng(1).uniform(0.1, 0.9, len(CONCEPTS))


@pytest.mark.slow
def test_honest_submission_agrees_as_often_as_the_level_says(shares):
    rng = np.random.default_rng(2)
    pairs = [agreement(*map(a_measurement, drawn(shares, rng, times=2)), key=KEY) for _ in range(200)]
    wrong = sum(not found.agrees for found in pairs)
    # Binomial(200, 0.01) exceeds 7 with probability 0.001.
    assert wrong <= 7


@pytest.mark.slow
def test_noise_chosen_among_thousands_is_found_and_gains_nothing(shares):
    rng = np.random.default_rng(3)
    found = []
    for _ in range(40):
        tries = drawn(shares, rng, times=5000)
        best = tries[tries.mean(axis=1).argmin()]
        (fresh,) = drawn(shares, rng)
        found.append(agreement(a_measurement(best), a_measurement(fresh), key=KEY))
    truth = np.mean((2 * shares - 1) ** 2)
    assert np.mean([one.submitted for one in found]) < truth - 0.03, "the attack lowers the submitted number"
    assert np.mean([one.fresh for one in found]) == pytest.approx(truth, abs=0.01)
    assert np.mean([one.flattered for one in found]) > 0.3
    assert not any(one.high < 0 for one in found)


def test_interval_is_that_of_a_t_test_over_concepts(shares):
    one, other = drawn(shares, np.random.default_rng(4), times=2)
    found = agreement(a_measurement(one), a_measurement(other), key=KEY)
    moved = other - one
    # Student's t with 34 degrees of freedom has the 99.5% quantile 2.7284.
    half = 2.7284 * moved.std(ddof=1) / np.sqrt(35)
    assert (found.low, found.high) == pytest.approx((moved.mean() - half, moved.mean() + half), abs=1e-5)


def test_too_few_concepts_give_no_interval(shares):
    values = np.where(np.arange(35) < 4, 0.1, np.nan)
    found = agreement(a_measurement(values), a_measurement(values), key=KEY)
    assert found.concepts == 4 and np.isnan(found.low)
    assert not found.agrees and not found.flattered


def tables(shares, rng, *, seen):
    """Images of neutral prompts with these shares of women, and the labels of the judges.

    Args:
        shares: Share of women of every concept.
        rng: Random stream.
        seen: Judge to its rate of errors; ``None`` for a judge that sees even shares whatever is drawn.
    """
    truth = rng.random((len(CONCEPTS), IMAGES)) < shares[:, None]
    keys = [f"{concept} {number}" for concept in CONCEPTS for number in range(IMAGES)]
    images = pd.DataFrame({"key": keys, "concept": np.repeat(CONCEPTS, IMAGES), "kind": "neutral"})
    parts = []
    for judge, error in seen.items():
        flips = rng.random(truth.shape) < (error or 0)
        answers = rng.random(truth.shape) < 0.5 if error is None else truth ^ flips
        label = np.where(answers.ravel(), *GROUPS)
        parts.append(pd.DataFrame({"key": keys, "judge": judge, "label": label, "status": "ok"}))
    return images, pd.concat(parts)


def gaps(own, base, seen, rng, *, seen_base=None, **changes):
    targets = {concept: np.array([0.5, 0.5]) for concept in CONCEPTS}
    sides = [
        deviations(*tables(shares, rng, seen=judges), groups=GROUPS, targets=targets)
        for shares, judges in ((own, seen), (base, seen_base or seen))
    ]
    settings = {"voters": set(FAMILIES), "steering": None, "held_back": ()} | changes
    return family_gaps(*sides, attribute="gender", families=FAMILIES, **settings)


HONEST = {"clip": 0.02, "vit": 0.05, "ita": 0.15}


def test_method_that_satisfies_one_voting_judge_is_found(shares):
    rng = np.random.default_rng(5)
    found = gaps(shares, shares, HONEST | {"vit": None}, rng, seen_base=HONEST)
    assert [gap.family for gap in found if gap.suspicious] == ["supervised"]
    (gap,) = [gap for gap in found if gap.suspicious]
    assert gap.kept < 0.1 and gap.others > 0.8 and gap.low > JUDGE_MARGIN and not gap.declared


@pytest.mark.slow
def test_honest_methods_are_not_accused_although_judges_err_unequally(shares):
    rng = np.random.default_rng(6)
    milder = 0.5 + 0.5 * (shares - 0.5)
    for own in (shares, milder, np.full(len(CONCEPTS), 0.5)):
        for _ in range(10):
            assert not any(gap.suspicious for gap in gaps(own, shares, HONEST, rng))


def test_family_without_a_vote_is_shown_but_not_suspicious(shares):
    seen = HONEST | {"vit": None}
    rng = np.random.default_rng(7)
    found = gaps(shares, shares, seen, rng, seen_base=HONEST, voters={"clip", "ita"}, steering="vit")
    (gap,) = [gap for gap in found if gap.family == "supervised"]
    assert gap.declared and not gap.votes and not gap.suspicious and gap.low > JUDGE_MARGIN


def test_held_back_family_unmasks_steering_by_the_only_other_one(shares):
    seen = {"clip": None, "ita": 0.15}
    rng = np.random.default_rng(8)
    base = {"clip": 0.02, "ita": 0.15}
    found = gaps(shares, shares, seen, rng, seen_base=base, voters={"clip"}, held_back={"ita"})
    assert [(gap.family, gap.held_back, gap.suspicious) for gap in found] == [
        ("colour", True, False),
        ("image-text", False, True),
    ]


def test_one_family_alone_cannot_be_compared(shares):
    rng = np.random.default_rng(9)
    assert gaps(shares, shares, {"clip": 0.02}, rng) == []
