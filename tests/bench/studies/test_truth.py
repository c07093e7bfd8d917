"""True values of the study, and labels exchanged within groups."""

import numpy as np
import pandas as pd
import pytest
from helpers.studies import synthetic_pool

from evenhand.bench.mini.law import TAXONOMIES, law, occupations
from evenhand.bench.studies.truth import ALL, shares, sides, true_value
from evenhand.metrics.estimation.panel import PANEL


@pytest.fixture(scope="module")
def pool():
    return synthetic_pool()


def test_true_values_follow_the_sampling_law():
    everyone = np.arange(len(occupations()))
    for name in TAXONOMIES:
        expected = law((name,))
        np.testing.assert_allclose(shares("base", (name,), everyone), expected, atol=1e-12)
        np.testing.assert_allclose(
            shares("debiased", (name,), everyone), 0.25 * expected + 0.75 / expected.shape[1], atol=1e-12
        )
    women = law(("gender",))[:, 0]
    assert true_value("share", "base", ("gender",), everyone) == pytest.approx(women.mean())
    assert true_value("rms_delta", "base", ("gender",), everyone) == pytest.approx(
        np.sqrt(((2 * women - 1) ** 2).mean())
    )
    assert true_value("rms_delta", "debiased", ALL, everyone) == pytest.approx(
        true_value("rms_delta", "base", ALL, everyone) / 4
    )


@pytest.mark.slow
def test_exchanged_labels_keep_the_matrix_and_are_independent_of_the_occupation(pool):
    images = np.tile(np.arange(len(pool.table)), 20)
    sources = pool.sources(images, exchanged=True, rng=np.random.default_rng(2))
    side = sides()[pool.table["occupation"].to_numpy()[images]]
    for judge, name in (("clip-weak", "gender"), (PANEL, "tone")):
        truth = pool.truth((name,), pool.itself)
        assert (pool.truth((name,), sources) == truth[images]).all()
        label = pool.labels(judge, (name,), sources)
        whole = pd.crosstab(truth, pool.labels(judge, (name,), pool.itself), normalize="index")
        for part in (0, 1):
            mine = side == part
            table = pd.crosstab(truth[images][mine], label[mine], normalize="index")
            np.testing.assert_allclose(table, whole, atol=0.02)
