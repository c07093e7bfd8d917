"""Clustered shares, few clusters, posteriors, BCa: independent implementations and simulated coverage."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, bootstrap, ttest_1samp
from statsmodels.formula.api import ols

from evenhand.bench.errors import EvenhandError
from evenhand.metrics import representation as r
from evenhand.metrics.fairness.intersectional import worst_cell_share
from evenhand.metrics.statistics import intervals as i
from evenhand.metrics.statistics.uncertainty import stream, wilson

CLUSTERED = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), min_size=6, max_size=40)


def templates(rho, *, rng, count=10, size=20, share=0.4):
    """Images of templates whose own shares scatter with intraclass correlation ``rho``."""
    spread = 1 / rho - 1 if rho else np.inf
    shares = rng.beta(share * spread, (1 - share) * spread, size=count) if rho else np.full(count, share)
    labels = (rng.random((count, size)) < shares[:, None]).astype(int)
    return labels.ravel(), np.repeat(np.arange(count), size)


@settings(max_examples=25)
@given(CLUSTERED)
def test_intraclass_correlation_matches_the_analysis_of_variance(images):
    frame = pd.DataFrame(images, columns=["template", "label"]).astype({"label": float})
    sizes = frame.groupby("template").size()
    found = i.intraclass_correlation(frame["label"], frame["template"].tolist())
    if not 1 < len(sizes) < len(frame) or frame["label"].nunique() == 1:
        assert np.isnan(found)
        return
    table = sm.stats.anova_lm(ols("label ~ C(template)", frame).fit())
    between, within = table["mean_sq"]
    size = (len(frame) - (sizes**2).sum() / len(frame)) / (len(sizes) - 1)
    assert found == pytest.approx((between - within) / (between + (size - 1) * within))


def test_intraclass_correlation_recovers_the_simulated_value():
    rng = stream(0, "icc")
    found = [i.intraclass_correlation(*templates(0.2, rng=rng)) for _ in range(300)]
    assert np.mean(found) == pytest.approx(0.2, abs=0.03)
    alone = [i.intraclass_correlation(*templates(0, rng=rng)) for _ in range(300)]
    assert np.mean(alone) == pytest.approx(0, abs=0.01)


def test_effective_n_of_copies_is_the_number_of_clusters():
    assert i.effective_n(200, cluster_size=20, correlation=1) == 10
    assert i.effective_n(200, cluster_size=20, correlation=0.1) == pytest.approx(200 / 2.9)
    assert i.effective_n(200, cluster_size=20, correlation=-0.1) == 200


def test_clustered_wilson_covers_where_plain_wilson_does_not():
    rng, hits = stream(0, "coverage"), {"plain": 0, "clustered": 0}
    for _ in range(400):
        labels, clusters = templates(0.2, rng=rng, count=20)
        ends = {"plain": wilson(labels.sum(), len(labels)), "clustered": i.clustered_wilson(labels, clusters)}
        for name, (low, high) in ends.items():
            hits[name] += bool(low <= 0.4 <= high)
    assert hits["plain"] / 400 < 0.75 and 0.91 < hits["clustered"] / 400 <= 1


def test_clustered_wilson_of_identical_labels_counts_templates():
    low, high = i.clustered_wilson(np.zeros(50), np.repeat(range(5), 10))
    assert (low, high) == pytest.approx(tuple(map(float, wilson(0, 5))))


def test_cluster_t_interval_of_equal_clusters_is_the_t_interval():
    means = np.array([0.2, 0.5, 0.35, 0.6, 0.4])
    expected = ttest_1samp(means, 0).confidence_interval()
    assert i.cluster_t_interval(means * 20, np.full(5, 20)) == pytest.approx(tuple(expected))


def test_cluster_t_interval_of_unequal_clusters_matches_statsmodels():
    labels, clusters = templates(0.3, rng=stream(0, "uneven"), count=8, size=12)
    labels, clusters = labels[7:], clusters[7:]
    options = {"groups": clusters, "use_correction": True, "df_correction": True}
    fit = sm.OLS(labels, np.ones(len(labels))).fit(cov_type="cluster", cov_kwds=options, use_t=True)
    part, whole = np.bincount(clusters, weights=labels), np.bincount(clusters)
    assert i.cluster_t_interval(part, whole) == pytest.approx(tuple(fit.conf_int()[0]))
    assert np.isnan(i.cluster_t_interval([3], [10])).all()


def test_cluster_t_interval_covers_with_five_templates():
    rng, hits = stream(0, "five"), 0
    for _ in range(500):
        labels, clusters = templates(0.1, rng=rng, count=5)
        low, high = i.cluster_t_interval(np.bincount(clusters, weights=labels), np.bincount(clusters))
        hits += low <= 0.4 <= high
    assert 0.92 < hits / 500 < 0.98


def test_posterior_of_one_share_is_jeffreys():
    low, high = i.dirichlet_interval([66, 184], lambda shares: shares[..., 0], rng=stream(0, "x"))
    expected = beta.ppf([0.025, 0.975], 66.5, 184.5)
    assert (low, high) == pytest.approx(tuple(expected), abs=0.003)


def test_posterior_of_the_worst_group_covers_a_group_without_images():
    def worst(shares):
        return worst_cell_share(shares, r.uniform(4))

    low, high = i.dirichlet_interval([[30, 10, 10, 0], [13, 12, 13, 12]], worst, rng=stream(0, "x"))
    assert 0 < low[0] < high[0] < 0.25 and low[1] > 2 * high[0]


@pytest.mark.parametrize("method", ["basic", "BCa"])
def test_bootstrap_intervals_agree_with_scipy(method):
    values = stream(0, "values").exponential(size=30)
    expected = bootstrap(
        (values,), np.mean, n_resamples=3000, method=method, rng=stream(0, "draws"), vectorized=True
    )
    draws = expected.bootstrap_distribution
    if method == "basic":
        found = i.basic_interval(draws, values.mean())
    else:
        found = i.bca_interval(draws, values.mean(), jackknife=i.leave_one_out(values, np.mean))
    assert found == pytest.approx(tuple(expected.confidence_interval))


def test_basic_interval_of_a_plug_in_distance_covers_where_percentiles_do_not():
    """Six groups, 20 images of each of ten concepts: the plug-in distance lies above the true one."""
    rng, hits = stream(0, "plug-in"), {"percentile": 0, "basic": 0}
    target, shares = r.uniform(6), np.array([0.35, 0.25, 0.15, 0.1, 0.1, 0.05])
    truth = r.delta_tv(shares, target)
    for _ in range(100):
        seen = r.shares_of(rng.multinomial(20, shares, size=10))
        again = np.stack([rng.multinomial(20, one, size=100) for one in seen], axis=1)
        draws = r.delta_tv(r.shares_of(again), target).mean(axis=1)
        low, high = np.quantile(draws, [0.025, 0.975])
        hits["percentile"] += bool(low <= truth <= high)
        low, high = i.basic_interval(draws, r.delta_tv(seen, target).mean())
        hits["basic"] += bool(low <= truth <= high)
    assert hits["percentile"] < 5 and hits["basic"] > 70


def test_bca_of_draws_on_one_side_is_an_error():
    with pytest.raises(EvenhandError, match="lie on one side of the value"):
        i.bca_interval(np.array([1.0, 2, 3]), 0.5, jackknife=np.array([0.4, 0.5, 0.6]))
