"""The law that the renders are drawn from."""

import math

import numpy as np
import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.bench.mini import ROOT
from evenhand.bench.mini.law import TAXONOMIES, characters, fine_law, law, objects, occupations


def test_every_occupation_of_the_law_sums_to_one():
    assert fine_law().shape == (40, 2, 5, 2)
    np.testing.assert_allclose(fine_law().sum(axis=(1, 2, 3)), 1, atol=1e-12)
    np.testing.assert_allclose(law(("tone", "gender")).sum(axis=(1, 2)), 1, atol=1e-12)


def test_law_follows_the_parameters_of_the_archive_cell_by_cell():
    with np.load(ROOT / "world.npz") as archive:
        shares, tilts, old = archive["pf"], archive["tilt"], archive["old"]
    base, place = [0.36, 0.27, 0.18, 0.12, 0.07], [-1, -0.5, 0, 0.5, 1]

    def log_odds(p):
        p = min(max(p, 0.03), 0.97)
        return math.log(p / (1 - p))

    for o in range(40):
        tone = [b * math.exp(1.3 * tilts[o] * x) for b, x in zip(base, place, strict=True)]
        for t in range(5):
            woman = 1 / (1 + math.exp(-(1.6 * log_odds(shares[o]) + 0.9 * tilts[o] * (place[t] + 0.7))))
            for g, (gender, shift) in enumerate(((woman, -0.6), (1 - woman, 0.2))):
                older = 1 / (1 + math.exp(-(log_odds(old[o]) + shift)))
                cell = tone[t] / sum(tone) * gender
                np.testing.assert_allclose(
                    fine_law()[o, g, t], [cell * (1 - older), cell * older], rtol=1e-12
                )


def test_law_has_the_measured_bias_of_the_training_data():
    assert np.abs(2 * law(["gender"])[:, 0] - 1).mean() == pytest.approx(0.625, abs=5e-4)
    assert law(["tone"])[:, 2].mean() == pytest.approx(0.219, abs=5e-4)
    assert law(["age"])[:, 1].mean() == pytest.approx(0.260, abs=5e-4)


def test_joint_law_keeps_the_order_of_the_attributes_asked_for():
    joint = law(("age", "tone"))
    assert joint.shape == (40, 2, 3)
    np.testing.assert_allclose(joint, law(("tone", "age")).swapaxes(1, 2))
    np.testing.assert_allclose(joint.sum(axis=2), law(["age"]))


def test_unknown_attribute_suggests_the_nearest():
    with pytest.raises(EvenhandError, match="did you mean 'gender'"):
        law(["gendre"])


def test_world_names_what_it_draws():
    assert (len(occupations()), len(objects()), len(characters())) == (40, 60, 4)
    assert {"nurse", "CEO", "construction worker"} <= set(occupations())
    assert TAXONOMIES["tone"] == ("light", "medium", "dark")
