"""Diversity of images against worked examples, matrix entropies and torchmetrics."""

import numpy as np
import pytest
import torch
from helpers.vectors import cloud, rng
from scipy.linalg import expm, logm
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
)

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.estimation.preservation import seed_distance
from evenhand.metrics.fairness import diversity as d


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


def test_vendi_scores_of_no_group_are_an_error():
    with pytest.raises(EvenhandError, match="no group is given"):
        d.vendi_at_equal_n({}, rng=rng())


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
