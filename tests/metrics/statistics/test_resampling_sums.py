"""Fast sums, sorting and counting over bootstrap draws equal the plain implementations."""

import numpy as np
import pytest

from evenhand.metrics import representation as r
from evenhand.metrics.correction.correction import project_simplex
from evenhand.metrics.statistics.resampling import Resamples, arrange
from evenhand.metrics.statistics.uncertainty import cluster_weights, recentred, stream, whole_cluster_weights

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("groups", [2, 7, 8, 12, 17, 130])
@pytest.mark.parametrize("rows", [1, 2, 35])
def test_distances_do_not_depend_on_memory_layout(groups: int, rows: int) -> None:
    shares = RNG.dirichlet(np.ones(groups), size=(20, rows))
    target = RNG.dirichlet(np.ones(groups), size=rows)
    for lain in (shares, r.by_group(shares), np.asfortranarray(shares)):
        apart = shares - target
        assert r.total_variation(lain, target) == pytest.approx(0.5 * np.abs(apart).sum(axis=-1), rel=1e-13)
        assert r.squared_deviation(lain, target, np.zeros(1)) == pytest.approx((apart**2).sum(axis=-1))


@pytest.mark.parametrize("groups", [1, 2, 3, 12, 24, 25])
def test_projection_matches_the_sorting_algorithm(groups: int) -> None:
    values = r.by_group(RNG.normal(1 / groups, 0.4, size=(50, 4, groups)))
    values[3, 1] = np.nan
    falling = -np.sort(-values, axis=-1)
    excess = (np.cumsum(falling, axis=-1) - 1) / np.arange(1, groups + 1)
    last = np.maximum((falling > excess).sum(axis=-1, keepdims=True) - 1, 0)
    expected = np.maximum(values - np.take_along_axis(excess, last, axis=-1), 0)
    np.testing.assert_array_equal(project_simplex(values), expected)


def test_means_ignore_missing_values() -> None:
    values = RNG.random((6, 35))
    holed = values.copy()
    holed[2, 3] = np.nan
    whole = np.arange(6) != 2
    assert (r.mean_over(holed)[whole] == r.mean_over(values)[whole]).all()
    assert r.mean_over(holed)[2] == pytest.approx(np.nanmean(holed[2]), rel=1e-14)
    assert np.isnan(r.mean_over(np.empty((2, 0)))).all()
    assert np.nanmean(recentred(holed, 0.5), axis=0) == pytest.approx(np.full(35, 0.5))


def test_leaves_drawn_more_than_255_times_are_counted() -> None:
    class Same(np.random.Generator):
        """Draws the first of everything, always."""

        def multinomial(self, n, pvals, size=None):  # type: ignore[no-untyped-def]
            times = np.broadcast_to(n, size if size is not None else np.shape(n))
            return times[..., None] * (np.arange(len(pvals)) == 0)

    rng = Same(np.random.PCG64(0))
    nested = cluster_weights([[2, 2], [200, 200]], draws=3, rng=rng)
    assert nested[0, :, 0].tolist() == [4] * 3 and nested[1, :, 0].tolist() == [400] * 3
    assert (whole_cluster_weights([[1] * 300], draws=2, rng=rng)[0, :, 0] == 300).all()


def test_resampling_several_tables_equals_resampling_each() -> None:
    place = [(o, t, s) for o in "abc" for t in "xy" for s in range(7)]
    row, cluster, leaf = ([str(part) for part in parts] for parts in zip(*place, strict=True))
    layout = arrange(range(len(place)), row=row, cluster=cluster, leaf=leaf)
    resamples = Resamples.of(layout, draws=40, rng=stream(0, "x"), rows=True)
    tables = [layout.counts(RNG.integers(0, groups + 1, len(place)), groups) for groups in (2, 3, 12, 2, 5)]
    for table, (within, across) in zip(tables, resamples.of_each(tables), strict=True):
        plain = np.einsum("rbw,rwc->brc", resamples.weights.astype(float), table)
        assert (within == plain).all()
        assert (across == resamples.of_both(table)[1]).all()
