"""The alignment of perfect images of even groups."""

import shutil

import numpy as np
import pandas as pd
import pytest
from helpers.paths import ROOT
from sklearn.linear_model import LinearRegression

from evenhand.bench.mini.law import FINE_TONES, TONE_GROUPS, fine_law, occupations
from evenhand.bench.studies.even_alignment import (
    alignment,
    among_same_people,
    by_occupation,
    even_shares,
    main,
    published_rows,
)
from evenhand.bench.suites.suite import load_suite


def test_groups_of_every_attribute_are_equally_frequent():
    shares = even_shares()
    tones = shares.sum(axis=(0, 2))
    grouped = {
        group: sum(tones[i] for i, fine in enumerate(FINE_TONES) if TONE_GROUPS[fine] == group)
        for group in TONE_GROUPS.values()
    }
    assert np.allclose(list(grouped.values()), 1 / 3)
    assert np.allclose(shares.sum(axis=(1, 2)), 1 / 2) and np.allclose(shares.sum(axis=(0, 1)), 1 / 2)


@pytest.mark.slow
def test_the_scorer_prefers_the_groups_that_it_saw_with_an_occupation():
    suite = load_suite("mini")
    usual = alignment(suite, even=False, copies=1)
    even = alignment(suite, even=True, copies=1)
    error = np.hypot(usual.score.sem(), even.score.sem())
    assert usual.score.mean() - even.score.mean() > 3 * error


def test_an_occupation_loses_what_its_usual_gender_scores_more():
    rows = pd.DataFrame(
        {"concept": "nurse", "gender": ["woman", "woman", "man"], "score": [80.0, 80.0, 60.0]},
    )
    table = by_occupation(rows)
    woman = fine_law()[occupations().index("nurse")].sum(axis=(1, 2))[0]
    assert table.share["nurse"] == pytest.approx(woman) and woman > 0.9
    assert table.loss["nurse"] == pytest.approx(1 - 70 / (woman * 80 + (1 - woman) * 60))


def scored(rng, *, shares, shift):
    """Images of two occupations; the scorer prefers women in one and men in the other."""
    concept = rng.choice(["nurse", "mechanic"], 400)
    woman = rng.random(400) < np.where(concept == "nurse", *shares)
    usual = woman == (concept == "nurse")
    rows = pd.DataFrame({"concept": concept, "people": np.where(woman, "woman", "man")})
    return rows.assign(alignment=70.0 + 8 * usual + shift + rng.normal(size=400))


def test_other_people_alone_do_not_change_the_alignment_among_the_same_people():
    rng = np.random.default_rng(0)
    base, even = scored(rng, shares=(0.9, 0.1), shift=0), scored(rng, shares=(0.5, 0.5), shift=0)
    assert even.alignment.mean() - base.alignment.mean() < -2.5
    found = among_same_people(even, base)
    assert found.low < 0 < found.high and abs(found.value) < 0.3
    assert found.share == 1
    worse = scored(rng, shares=(0.5, 0.5), shift=-3)
    assert among_same_people(worse, base).value == pytest.approx(-3, abs=0.3)


def test_the_difference_is_that_of_least_squares_with_a_level_for_each_stratum():
    rng = np.random.default_rng(1)
    base, method = scored(rng, shares=(0.8, 0.3), shift=0), scored(rng, shares=(0.5, 0.5), shift=-1)
    both = pd.concat([base.assign(method=0), method.assign(method=1)])
    strata = pd.get_dummies(both.concept + both.people, dtype=float)
    fitted = LinearRegression(fit_intercept=False).fit(strata.assign(method=both.method), both.alignment)
    assert among_same_people(method, base).value == pytest.approx(fitted.coef_[-1])


def test_people_that_one_side_lacks_are_left_out():
    concept = list("aabb")
    base = pd.DataFrame({"concept": concept, "people": list("xxyy"), "alignment": [1.0, 3.0, 5.0, 5.0]})
    method = base.assign(people=list("xzyy"), alignment=[4.0, 99.0, 4.0, 6.0])
    found = among_same_people(method, base)
    assert found.share == 3 / 4
    assert found.value == pytest.approx((2 / 3 * 2 + 1 * 0) / (2 / 3 + 1))


@pytest.mark.slow
def test_published_rows_are_compared_with_their_baseline(tmp_path, capsys):
    for method in ("base", "sfid", "sortition"):
        name = f"{method}@mini-v2"
        shutil.copytree(ROOT / "reports" / "entries" / name, tmp_path / name)
    rows = published_rows(tmp_path, "mini-2")
    assert tuple(rows.loc["base", ["difference", "value", "low", "high", "share"]]) == (0, 0, 0, 0, 1)
    # Both methods show other people than the baseline, and only one of them draws worse images.
    assert rows.loc["sfid", "high"] < -2 < rows.loc["sortition", "low"]
    main(["--entries", str(tmp_path)])
    assert "sortition" in capsys.readouterr().out
