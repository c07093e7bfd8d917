"""Quality by group, against torchmetrics and SciPy."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.ndimage import gaussian_filter
from torchmetrics.image.fid import _compute_fid
from torchmetrics.image.kid import poly_mmd

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.fairness import quality as q


def rng(seed=0):
    return np.random.default_rng(seed)


def features(n, shift=0.0, seed=0, width=6):
    return rng(seed).standard_normal((n, width)) + shift


def test_clip_score_scales_are_named_and_have_no_default():
    values = {scale: q.clip_score([-0.1, 0.3, 0.5], scale=scale).tolist() for scale in q.CLIP_SCALES}
    assert values["100 cos"] == pytest.approx([-10, 30, 50])
    assert values["100 max(0, cos)"] == pytest.approx([0, 30, 50])
    assert values["2.5 max(0, cos)"] == pytest.approx([0, 0.75, 1.25])
    assert values["min(1, 2.5 max(0, cos))"] == pytest.approx([0, 0.75, 1])
    with pytest.raises(
        EvenhandError, match="unknown scale of the CLIP score '100cos'; did you mean '100 cos'"
    ):
        q.clip_score([0.3], scale="100cos")


def test_squared_mmd_matches_torchmetrics():
    first, second = features(40), features(40, shift=0.5, seed=1)
    reference = poly_mmd(torch.tensor(first), torch.tensor(second))
    found = q.kid(first, second, rng=rng(), subsets=3)
    assert found.value == pytest.approx(float(reference), abs=1e-9)
    assert found.deviation == pytest.approx(0, abs=1e-12)  # every subset is the whole set
    parts = q.kid(first, second, rng=rng(), size=20)
    assert parts.deviation > 0 and parts.value == pytest.approx(float(reference), abs=parts.deviation)


def test_kid_is_unbiased_and_fid_is_not():
    same = [(features(30, seed=2 * k), features(30, seed=2 * k + 1)) for k in range(200)]
    kids = np.array([q.kid(*pair, rng=rng(), subsets=1).value for pair in same])
    assert abs(kids.mean()) < 3 * kids.std() / np.sqrt(len(kids))
    fids = [q.frechet_distance(*pair).value for pair in same]
    assert np.mean(fids) > 0.4
    more = [q.frechet_distance(features(3000, seed=k), features(3000, seed=k + 1)).value for k in range(3)]
    assert np.mean(more) < 0.02


def test_frechet_distance_matches_torchmetrics_and_warns():
    first, second = features(50), 1.5 * features(60, shift=0.3, seed=1)
    means, covs = zip(*((x.mean(axis=0), np.cov(x, rowvar=False)) for x in (first, second)), strict=True)
    arrays = [torch.tensor(each) for pair in zip(means, covs, strict=True) for each in pair]
    found = q.frechet_distance(first, second)
    assert found.value == pytest.approx(float(_compute_fid(*arrays)), rel=1e-6)
    written = ((means[0] - means[1]) ** 2).sum() + np.trace(covs[0] + covs[1] - 2 * sqrtm(covs[0] @ covs[1]))
    assert found.value == pytest.approx(written.real, rel=1e-6)
    assert found.warning.startswith("50 images are below 10000: this FID is biased upwards")
    assert q.frechet_distance(features(10_000, width=2), features(10_000, seed=1, width=2)).warning == ""


def test_distances_need_two_images():
    for distance in (q.frechet_distance, lambda a, b: q.kid(a, b, rng=rng())):
        with pytest.raises(EvenhandError, match="needs at least 2 images per set, got 1 and 5"):
            distance(features(1), features(5))


def test_every_group_needs_its_own_reference():
    images = {"woman": features(200), "man": features(200, shift=1.0, seed=1)}
    real = {"woman": features(250, seed=2), "man": features(250, shift=1.0, seed=3)}
    own = q.kid_by_group(images, real, rng=rng())
    assert max(abs(each.value) for each in own.values()) < 0.3
    # a reference of women alone makes the men's equally good images look far worse
    pooled = {group: q.kid(images[group], real["woman"], rng=rng()).value for group in images}
    assert pooled["man"] > 3 > 0.3 > pooled["woman"]
    with pytest.raises(EvenhandError, match="two groups share their reference images"):
        q.kid_by_group(images, {"woman": real["woman"], "man": real["woman"]}, rng=rng())
    with pytest.raises(EvenhandError, match="group 'man' has no reference images"):
        q.kid_by_group(images, {"woman": real["woman"]}, rng=rng())


def test_sharpness_falls_with_blur_and_is_the_variance_of_the_laplacian():
    image = rng().random((32, 32))
    values = [q.sharpness(gaussian_filter(image, sigma)) for sigma in (0, 1, 2)]
    assert values[0] > values[1] > values[2] > 0
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=torch.float64)[None, None]
    padded = torch.nn.functional.pad(torch.tensor(image)[None, None], (1, 1, 1, 1), mode="reflect")
    edges = torch.nn.functional.conv2d(padded, kernel)
    assert values[0] == pytest.approx(float(edges.var(correction=0)))
    assert q.sharpness(np.ones((8, 8))) == 0


def graded(gap, *, prompts=12, seeds=10, seed=0):
    """Values of two groups whose means differ by ``gap``; prompts have offsets of their own."""
    draw = rng(seed)
    groups = np.repeat(["man", "woman"], prompts * seeds)
    clusters = np.tile(np.repeat([f"p{k}" for k in range(prompts)], seeds), 2)
    offset = np.repeat(draw.normal(0, 0.5, 2 * prompts), seeds)
    return gap * (groups == "man") + offset + draw.normal(0, 1, len(groups)), groups, clusters


def test_parity_detects_a_gap_with_an_interval():
    values, groups, clusters = graded(2.0)
    found = q.parity(values, groups=groups, clusters=clusters, rng=rng())
    assert found.worst == "woman" and found.low < 2 < found.high
    assert found.gap == pytest.approx(found.means["man"] - found.means["woman"])
    assert 0 < found.chance < 0.5


def test_parity_of_equal_groups_equals_chance_on_average():
    found = [
        q.parity(values, groups=groups, clusters=clusters, rng=rng(), draws=200)
        for values, groups, clusters in (graded(0.0, seed=seed) for seed in range(60))
    ]
    assert np.mean([each.gap for each in found]) == pytest.approx(
        np.mean([each.chance for each in found]), rel=0.25
    )


def test_parity_resamples_images_of_one_prompt_together():
    values, groups, clusters = graded(1.0)
    loose = q.parity(values, groups=groups, clusters=[f"{k}" for k in range(len(values))], rng=rng())
    kept = q.parity(values, groups=groups, clusters=clusters, rng=rng())
    assert kept.high - kept.low > 1.2 * (loose.high - loose.low)


def test_parity_accepts_rates_and_ignores_missing_values():
    values = np.array([1, 1, 0, np.nan, 1, 0, 0, 0.0])
    found = q.parity(values, groups=["a"] * 4 + ["b"] * 4, clusters=["p", "q"] * 4, rng=rng())
    assert found.means == pytest.approx({"a": 2 / 3, "b": 0.25})
    with pytest.raises(EvenhandError, match="parity needs values for at least 2 groups"):
        q.parity([1.0, np.nan], groups=["a", "b"], clusters=["p", "p"], rng=rng())
    with pytest.raises(EvenhandError, match="group 'b' has one prompt"):
        q.parity([1.0, 2, 3], groups=["a", "a", "b"], clusters=["p", "q", "p"], rng=rng())
