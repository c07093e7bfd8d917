"""Measures of embeddings: association tests, retrieval skew, clusters without labels, diversity."""

from itertools import combinations
from math import log, log2

import numpy as np
import pytest
import torch
from scipy.linalg import expm, logm
from scipy.stats import entropy
from sklearn.cluster import AgglomerativeClustering
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
)

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.estimation.preservation import seed_distance
from evenhand.metrics.fairness import clusters as c
from evenhand.metrics.fairness import diversity as d
from evenhand.metrics.fairness.association import relation
from evenhand.metrics.fairness.embedding_bias import (
    association_test,
    differential_association,
    max_skew,
    ndkl,
)
from evenhand.metrics.representation import uniform


def rng(seed=0):
    return np.random.default_rng(seed)


def unit(values):
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def cloud(centre, n, *, spread=0.3, seed=0):
    return unit(np.asarray(centre, float) + spread * rng(seed).standard_normal((n, len(centre))))


def words(seed=0):
    draw = rng(seed)
    return {
        "first_attributes": draw.standard_normal((5, 8)),
        "second_attributes": draw.standard_normal((4, 8)),
    }


def by_hand(first, second, *, first_attributes, second_attributes):
    """WEAT written out with loops."""

    def cos(u, v):
        return u @ v / np.sqrt((u @ u) * (v @ v))

    def s(x):
        return np.mean([cos(x, a) for a in first_attributes]) - np.mean(
            [cos(x, b) for b in second_attributes]
        )

    one, two = [s(x) for x in first], [s(x) for x in second]
    everything = np.array(one + two)
    seen = np.mean(one) - np.mean(two)
    reached = []
    for chosen in combinations(range(len(everything)), len(one)):
        inside = np.isin(range(len(everything)), chosen)
        reached.append(everything[inside].mean() - everything[~inside].mean() >= seen - 1e-12)
    return seen / everything.std(ddof=1), np.mean(reached)


@pytest.mark.parametrize("sizes", [(4, 4), (5, 3)])
def test_effect_and_exact_p_value_of_the_association_test_by_hand(sizes):
    draw = rng(1)
    first, second = draw.standard_normal((sizes[0], 8)) + 0.5, draw.standard_normal((sizes[1], 8))
    found = association_test(first, second, **words(), rng=rng())
    effect, p = by_hand(first, second, **words())
    assert found.exact
    assert (found.effect, found.p) == (pytest.approx(effect), pytest.approx(p))


def test_many_targets_get_a_monte_carlo_p_value():
    attributes = {"first_attributes": np.eye(8)[:2], "second_attributes": np.eye(8)[2:4]}
    near, away = cloud(np.eye(8)[0], 30, seed=1), cloud(np.eye(8)[2], 30, seed=2)
    found = association_test(near, away, **attributes, rng=rng())
    assert not found.exact and found.p == pytest.approx(1 / 10_001) and 1 < found.effect < 2
    back = association_test(away, near, **attributes, rng=rng())
    assert back.effect == pytest.approx(-found.effect) and back.p == pytest.approx(1)
    alike = [cloud(np.eye(8)[0], 20, seed=seed) for seed in range(10)]
    p = [association_test(x[:10], x[10:], **attributes, rng=rng()).p for x in alike]
    assert 0.25 < np.mean(p) < 0.75


def test_association_needs_two_targets_per_side():
    x = np.array([[2.0, 0.0]])
    value = differential_association(
        x, first_attributes=np.array([[1, 0]]), second_attributes=np.array([[0, 3]])
    )
    assert value == pytest.approx([1])
    with pytest.raises(EvenhandError, match="at least 2 targets on each side, got 1 and 3"):
        association_test(np.ones((1, 8)), np.ones((3, 8)), **words(), rng=rng())


def test_max_skew_by_hand():
    ranked, even = np.array([0, 0, 0, 1, 1, 1]), np.array([0.5, 0.5])
    assert max_skew(ranked, even, k=4) == pytest.approx(log(0.75 / 0.5))
    assert max_skew(ranked, even, k=6) == pytest.approx(0)
    # an absent group counts as one image, so the logarithm exists
    assert max_skew(np.array([1, 1]), np.array([0.1, 0.9]), k=2) == pytest.approx(log(0.5 / 0.1))
    with pytest.raises(EvenhandError, match=r"k must be between 1 and 6 .*, got 7"):
        max_skew(ranked, even, k=7)
    with pytest.raises(EvenhandError, match=r"target shares must be positive, got \[1\.0, 0\.0\]"):
        ndkl(ranked, np.array([1.0, 0.0]))


def test_ndkl_by_hand_and_against_scipy():
    ranked, target = np.array([0, 1, 1, 0, 1]), np.array([0.4, 0.6])
    total = weight = 0.0
    for i in range(1, 6):
        top = np.bincount(ranked[:i], minlength=2) / i
        total += entropy(top, target) / log2(i + 1)
        weight += 1 / log2(i + 1)
    assert ndkl(ranked, target) == pytest.approx(total / weight)
    one_sided, mixed = np.array([0] * 8 + [1] * 8), np.tile([0, 1], 8)
    assert ndkl(one_sided, uniform(2)) > 2 * ndkl(mixed, uniform(2)) > 0


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


def test_vendi_scores_match_worked_examples():
    kernel = np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]])
    assert d.vendi_of_kernel(kernel) == pytest.approx(2.157300, abs=1e-6)
    assert d.vendi_of_kernel(np.eye(4)) == pytest.approx(4)
    assert d.vendi_of_kernel(np.ones((5, 5))) == pytest.approx(1)


def test_vendi_is_the_exponential_of_the_matrix_entropy():
    vectors = cloud(np.ones(6), 5, spread=1.0)
    density = vectors @ vectors.T / 5
    assert d.vendi_score(vectors) == pytest.approx(np.exp(-np.trace(density @ logm(density)).real))
    np.testing.assert_allclose(expm(logm(density)), density, atol=1e-9)  # the reference is well conditioned


def test_vendi_ignores_order_and_counts_copies_once():
    vectors = cloud(np.ones(6), 8, spread=1.0)
    assert d.vendi_score(vectors[::-1]) == pytest.approx(d.vendi_score(vectors))
    assert d.vendi_score(np.repeat(vectors, 3, axis=0)) == pytest.approx(d.vendi_score(vectors))


@pytest.mark.parametrize("kernel", [np.zeros((0, 0)), 2 * np.eye(3), np.array([[1, 0.5], [0.1, 1]])])
def test_a_matrix_that_is_not_a_kernel_is_an_error(kernel):
    with pytest.raises(EvenhandError, match="must be non-empty and symmetric with ones on its diagonal"):
        d.vendi_of_kernel(kernel)


def test_groups_of_unequal_size_are_compared_at_equal_n():
    few, many = (cloud(np.ones(24), n, spread=1.0, seed=n) for n in (60, 600))
    assert d.vendi_score(many) > 1.1 * d.vendi_score(few)  # larger only because it has more images
    gap = d.homogenisation({"few": few, "many": many}, reference="few", rng=rng())
    assert gap["few"] == 1 and gap["many"] == pytest.approx(1, abs=0.1)
    narrow = cloud(np.ones(24), 200, spread=0.2, seed=3)
    assert d.homogenisation({"few": few, "narrow": narrow}, reference="few", rng=rng())["narrow"] < 0.8
    with pytest.raises(EvenhandError, match="group 'few' has 60 images and needs 90"):
        d.vendi_at_equal_n({"few": few, "many": many}, rng=rng(), n=90)
    with pytest.raises(EvenhandError, match="reference group 'some' has no images"):
        d.homogenisation({"few": few}, reference="some", rng=rng())


def test_mean_pairwise_averages_over_all_pairs():
    vectors = cloud(np.ones(6), 7)
    found = d.mean_pairwise(list(vectors), lambda a, b: 1 - a @ b)
    assert found.pairs == 21 and found.mean == pytest.approx(seed_distance(vectors).mean())
    assert np.isnan(d.mean_pairwise([vectors[0]], lambda a, b: 0).mean)


def images(side=192):
    first = rng().random((side, side + 16))
    return first, np.clip(first + 0.2 * rng(1).standard_normal(first.shape), 0, 1)


def test_ms_ssim_agrees_with_torchmetrics():
    first, second = images()
    tensors = [torch.tensor(each)[None, None] for each in (first, second)]
    _, contrast = structural_similarity_index_measure(
        *tensors, data_range=1.0, return_contrast_sensitivity=True
    )
    assert d._ssim(first, second)[1] == pytest.approx(float(contrast), abs=1e-9)
    # torchmetrics keeps the mirrored border at the coarsest scale, which is left out here
    reference = multiscale_structural_similarity_index_measure(*tensors, data_range=1.0, normalize="relu")
    assert d.ms_ssim(first, second) == pytest.approx(float(reference), abs=3e-3)


def test_ms_ssim_is_one_for_identical_images_and_needs_161_pixels():
    first, second = images(161)
    assert d.ms_ssim(first, first) == pytest.approx(1)
    assert 0 < d.ms_ssim(first, second) < 1 and d.ms_ssim(first, 1 - first) == 0
    with pytest.raises(EvenhandError, match="MS-SSIM needs two images of equal size"):
        d.ms_ssim(first[:160], second[:160])
