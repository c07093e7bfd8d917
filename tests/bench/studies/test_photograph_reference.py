"""The reference set is that of any Mahalanobis distance; an image is measured against others."""

import numpy as np
import pytest
from helpers.photo import astronaut, nobody
from PIL import Image
from sklearn.covariance import LedoitWolf

from evenhand.bench.errors import EvenhandError
from evenhand.bench.studies.photograph_reference import held_out, statistics, textures
from evenhand.metrics.vision.photographs import unlikeness

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(200, 8)) * 10.0 ** np.arange(-2, 6) + 5


def test_the_whitening_is_a_root_of_the_shrunk_precision_of_standardized_features():
    scaled = (FEATURES - FEATURES.mean(axis=0)) / FEATURES.std(axis=0)
    expected = np.sqrt(LedoitWolf().fit(scaled).mahalanobis(scaled) / 8)
    np.testing.assert_allclose(unlikeness(FEATURES, **statistics(FEATURES)), expected)


def test_a_photograph_is_farther_from_the_others_than_from_a_set_with_itself():
    within = unlikeness(FEATURES, **statistics(FEATURES))
    assert held_out(FEATURES).mean() > 1.01 * within.mean()


@pytest.mark.slow
def test_each_face_counts_once_and_images_without_one_not_at_all(tmp_path):
    photo = Image.fromarray(astronaut())
    for name, image in {
        "a": photo,
        "copy": photo.resize((400, 400)),
        "cup": Image.fromarray(nobody()[0]),
        "mirrored": photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    }.items():
        image.save(tmp_path / f"{name}.png")
    assert textures(tmp_path).shape == (2, 64)
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(EvenhandError, match=r"text\.png is not a PNG, JPEG or WebP image; remove it"):
        textures(tmp_path)
