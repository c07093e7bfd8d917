import numpy as np
import pytest
from helpers.mini import labelled_people
from helpers.photo import astronaut, nobody, resized
from skimage.data import lfw_subset

from evenhand.bench.mini.autoencoder import reconstruction_error, through_autoencoder
from evenhand.bench.mini.calibrate import anchor_specs
from evenhand.bench.mini.judges import RENDERS
from evenhand.bench.mini.world import render


def test_the_autoencoder_blurs_images_only_slightly():
    images = render(anchor_specs(1)[:24], seed=1)
    passed = through_autoencoder(images)
    assert passed.shape == images.shape
    assert passed.dtype == np.uint8
    assert 0.5 < np.abs(passed.astype(int) - images).mean() < 4


@pytest.mark.slow
def test_photographs_are_outside_the_domain_of_the_judges_and_renders_are_within():
    faces = np.repeat((lfw_subset()[:100:10] * 255).astype(np.uint8)[..., None], 3, axis=-1)
    photographs = [
        resized(image, 64) for image in (astronaut(), astronaut()[:224, 112:336], *nobody(), *faces)
    ]
    renders = [*render(anchor_specs(1)[::97], seed=4), *labelled_people()[0][:20]]
    assert (reconstruction_error(np.stack(photographs)) > RENDERS.reference.limit).all()
    assert (reconstruction_error(np.stack(renders)) < RENDERS.reference.limit).all()


def test_images_of_another_size_are_compared_at_that_of_the_model():
    renders = render(anchor_specs(1)[:3], seed=1)
    small = np.stack([resized(image, 50) for image in renders])
    assert (reconstruction_error(small) < RENDERS.reference.limit).all()
