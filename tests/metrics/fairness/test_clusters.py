"""Clusters of images against scikit-learn."""

import numpy as np
import pytest
from helpers.vectors import cloud, rng, unit
from sklearn.cluster import AgglomerativeClustering

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.fairness import clusters as c
from evenhand.metrics.fairness.association import relation

CENTRES = {"woman": [1, 0, 0, 0], "man": [0, 1, 0, 0], "person": [0, 0, 1, 0]}


def identities(n=20):
    vectors = np.concatenate([cloud(x, n, seed=k, spread=0.15) for k, x in enumerate(CENTRES.values())])
    return vectors, [name for name in CENTRES for _ in range(n)]


def test_clusters_match_scikit_learns_ward_clusters():
    vectors, phrases = identities()
    for count in (3, 12):
        codes = AgglomerativeClustering(count, linkage="ward").fit_predict(vectors)
        centroids = unit(np.stack([vectors[codes == code].mean(axis=0) for code in range(count)]))
        found = c.make_regions(vectors, phrases, clusters=count)
        assert sorted(map(tuple, found.centroids.round(9))) == sorted(map(tuple, centroids.round(9)))
        np.testing.assert_allclose(found.shares.sum(axis=1), 1)
    assert set(c.make_regions(vectors, phrases, clusters=3).dominant()) == set(CENTRES)


def test_an_occupation_belongs_to_the_cluster_of_similar_images():
    regions = c.make_regions(*identities(), clusters=3)
    images = np.concatenate([cloud(CENTRES["man"], 18, seed=8), cloud(CENTRES["woman"], 6, seed=9)])
    found = c.profile(regions, images)
    assert c.share_near(regions, found, "man") == found.top == 0.75
    assert c.share_near(regions, found, "person") == 0
    assert 0 < found.entropy < 1
    assert c.profile(regions, cloud(CENTRES["man"], 9, seed=3, spread=0.1)).entropy == 0
    with pytest.raises(
        EvenhandError, match="unknown phrase of the identity images 'wman'; did you mean 'woman'"
    ):
        c.share_near(regions, found, "wman")


def test_cluster_shares_follow_the_labour_market_without_labels():
    vectors, phrases = identities()
    regions = c.make_regions(vectors, phrases, clusters=12)
    labour = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    near = []
    for share in labour:
        women = round(20 * share)
        parts = [cloud(CENTRES["woman"], women, seed=5), cloud(CENTRES["man"], 20 - women, seed=6)]
        near.append(c.share_near(regions, c.profile(regions, np.concatenate(parts)), "woman"))
    found = relation(near, labour)
    assert found.rho == pytest.approx(1) and found.slope == pytest.approx(1, abs=0.1)


def test_stability_returns_one_row_per_subsample():
    vectors, phrases = identities()
    images = cloud([1, 1, 0, 0], 40, seed=4)
    found = c.stability(vectors, phrases, images, clusters=12, phrase="woman", rng=rng())
    assert found.shape == (5, 3) and (found >= 0).all() and (found <= 1).all()
    assert found[:, 0].std() > 0
    with pytest.raises(EvenhandError, match=r"clusters must be between 2 and 60 .*, got 61"):
        c.make_regions(vectors, phrases, clusters=61)


def images(side=192):
    first = rng().random((side, side + 16))
    return first, np.clip(first + 0.2 * rng(1).standard_normal(first.shape), 0, 1)
