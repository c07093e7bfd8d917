import numpy as np
import pytest
from helpers.mini import labelled_people

from evenhand.bench.errors import EvenhandError
from evenhand.bench.mini.judges import tone_ita
from evenhand.metrics.judges.tone import CUTS, ToneItaJudge
from evenhand.metrics.vision.colour import MONK_HEX

CARD = {"name": "tone", "title": "Tone", "licence": "Apache-2.0", "origin": "test"}


def whole(spread=1.5):
    return ToneItaJudge(boxes=[(0, 0, 1, 1)], spread=spread, smallest_share=0.5, **CARD)


def flat(*colours):
    return np.array([np.full((16, 16, 3), colour, np.uint8) for colour in colours])


def monk_images():
    return flat(*[list(bytes.fromhex(code)) for code in MONK_HEX])


@pytest.mark.parametrize("colour", [(0, 0, 0), (90, 90, 90), (128, 128, 128), (255, 255, 255), (40, 90, 200)])
def test_an_image_without_skin_is_undetermined(colour):
    answer = tone_ita().label(flat(colour))["tone"]
    assert answer.status == ("no_face",)
    assert answer.probabilities.tolist() == [[0, 0, 0, 1]]


def test_every_monk_tone_counts_as_skin():
    measured = whole().measure(monk_images())
    assert measured.share.tolist() == [1] * 10
    assert measured.monk.tolist() == list(range(1, 11))


def test_groups_follow_the_cuts_of_the_angle():
    answer = whole().label(monk_images())["tone"]
    groups = [whole().info.taxonomies["tone"][index] for index in answer.probabilities.argmax(axis=1)]
    assert groups == ["light"] * 5 + ["dark"] * 5
    assert CUTS == (41, 19)
    assert whole().label(flat((186, 141, 104)))["tone"].probabilities.argmax() == 1


def test_an_image_near_a_cut_is_uncertain():
    near = flat((208, 165, 130))
    angle = whole().measure(near).angle[0]
    assert 40 < angle < 41
    sure, unsure = (whole(spread).label(near)["tone"].probabilities.max() for spread in (0.1, 10))
    assert sure > 0.95
    assert unsure < 0.65


def test_probabilities_sum_to_one_and_images_without_skin_cannot_tell():
    images = np.concatenate([monk_images(), flat((90, 90, 90))])
    answer = whole().label(images)["tone"]
    np.testing.assert_allclose(answer.probabilities.sum(axis=1), 1)
    assert answer.status == ("ok",) * 10 + ("no_face",)
    measured = whole().measure(images)
    assert np.isnan(measured.angle[-1])
    assert measured.monk[-1] == 0


def test_hair_and_background_outside_the_boxes_do_not_count():
    images = flat((20, 60, 220))
    images[:, 4:8, 4:8] = (86, 55, 57)
    judge = ToneItaJudge(boxes=[(0.25, 0.25, 0.5, 0.5)], spread=1.5, smallest_share=0.5, **CARD)
    assert judge.label(images)["tone"].probabilities.argmax() == 2


@pytest.mark.slow
def test_published_cuts_label_a_third_of_medium_skin_as_light():
    images, truth = labelled_people()
    answer = tone_ita().label(images)["tone"]
    said = np.array(["light", "medium", "dark"])[answer.probabilities.argmax(axis=1)]
    assert set(answer.status) == {"ok"}
    for group in ("light", "dark"):
        assert (said[truth["tone"] == group] == group).mean() > 0.98
    medium = said[truth["tone"] == "medium"]
    assert 0.5 < (medium == "medium").mean() < 0.85
    assert set(medium) == {"medium", "light"}


@pytest.mark.parametrize("box", [(0.5, 0, 0.5, 1), (0, 0, 1.2, 1), (0.4, 0.9, 0.6, 0.1)])
def test_a_box_outside_the_image_is_an_error(box):
    with pytest.raises(EvenhandError, match="not inside the image"):
        ToneItaJudge(boxes=[box], spread=1, smallest_share=0.5, **CARD)


def test_a_spread_that_is_not_positive_is_an_error():
    with pytest.raises(EvenhandError, match="got 0"):
        whole(spread=0)
