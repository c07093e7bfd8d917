"""Faces in photographs are told from other faces, whatever happened to the photograph."""

import io

import numpy as np
import pytest
from helpers.photo import astronaut, nobody
from PIL import Image, ImageFilter, ImageOps

from evenhand.metrics.judges.age_and_gender import AgeAndGenderJudge
from evenhand.metrics.judges.base import PHOTOGRAPHS
from evenhand.metrics.judges.deepface import DeepFaceJudge
from evenhand.metrics.judges.fairface import FairFaceJudge
from evenhand.metrics.judges.gear import GearJudge
from evenhand.metrics.vision.photographs import LIMIT, distance_from_photographs, unlikeness


def distance(image):
    return distance_from_photographs(np.asarray(image)[None])[0]


def jpeg(image):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=20)
    return Image.open(file)


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image,
        jpeg,
        lambda image: image.convert("L").convert("RGB"),
        lambda image: image.resize((256, 256)),
        lambda image: image.filter(ImageFilter.GaussianBlur(1)),
        lambda image: image.point(lambda level: level // 2),
    ],
    ids=["as it is", "jpeg", "grey", "small", "blurred", "dark"],
)
def test_a_photograph_is_like_photographs(change):
    assert 0 < distance(change(Image.fromarray(astronaut()))) < LIMIT


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.filter(ImageFilter.CONTOUR),
        lambda image: ImageOps.invert(image.filter(ImageFilter.FIND_EDGES)),
        ImageOps.solarize,
    ],
    ids=["contours", "edges", "false colours"],
)
def test_a_drawn_face_is_unlike_photographs(change):
    assert distance(change(Image.fromarray(astronaut()))) > LIMIT


def test_an_image_without_a_face_has_no_distance():
    assert np.isnan(distance_from_photographs(np.stack(nobody()))).all()


def test_the_distance_is_that_of_mahalanobis():
    from scipy.spatial.distance import mahalanobis

    rng = np.random.default_rng(0)
    points = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 3))
    precision = np.linalg.inv(np.cov(points.T))
    found = unlikeness(points, mean=points.mean(axis=0), whitening=np.linalg.cholesky(precision))
    expected = [mahalanobis(point, points.mean(axis=0), precision) / np.sqrt(3) for point in points]
    np.testing.assert_allclose(found, expected)


def test_every_judge_of_photographed_faces_has_the_reference_set():
    for judge in (AgeAndGenderJudge, FairFaceJudge, GearJudge, DeepFaceJudge):
        assert judge.domain.images == PHOTOGRAPHS.images
        assert judge.domain.reference is PHOTOGRAPHS.reference
