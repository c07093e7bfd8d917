"""Images as tensors: the same answers as on bytes, with gradients that reach the pixels."""

import numpy as np
import pytest
import torch
from transformers import CLIPTextModel

from evenhand.bench.errors import EvenhandError
from evenhand.bench.mini.judges import clip_xs, tone_ita
from evenhand.bench.mini.world import render
from evenhand.bench.models.loading import load_model
from evenhand.bench.stages.fit import CountedJudge
from evenhand.bench.stages.resources import load_scorer
from evenhand.metrics.vision.pixels import shown

PEOPLE = render(np.array([[0, index, index % 2, index % 5, 0, index % 3] for index in range(6)]), seed=0)
TEXTS = ["a woman", "a man", "an elderly person"]


def pixels(images=PEOPLE):
    return torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1


def test_softmax_of_the_logits_equals_the_judges_answer():
    got = clip_xs().logits(pixels(), TEXTS).softmax(dim=1).numpy()
    np.testing.assert_allclose(got, clip_xs().zero_shot(PEOPLE, TEXTS), atol=1e-4)


def test_features_of_tensors_equal_those_of_bytes():
    scorer = load_scorer("mini")
    np.testing.assert_allclose(scorer.features(pixels()).numpy(), scorer.embed(PEOPLE), atol=1e-5)


def test_images_of_another_size_are_resized_and_cropped_as_in_pillow():
    wide = np.repeat(np.repeat(PEOPLE[:2], 2, axis=1), 3, axis=2)
    scorer = load_scorer("mini")
    cosines = (scorer.features(pixels(wide)).numpy() * scorer.embed(wide)).sum(axis=1)
    assert cosines.min() > 0.999
    assert shown(pixels(wide), size=64, mean=[0] * 3, std=[1] * 3).shape == (2, 3, 64, 64)


@pytest.mark.parametrize("network", [lambda x: clip_xs().logits(x, TEXTS), load_scorer("mini").features])
def test_gradients_match_finite_differences(network):
    start = (pixels(PEOPLE[:1]) * 0.9).requires_grad_(True)
    direction = torch.randn(start.shape, generator=torch.Generator().manual_seed(0)) * 1e-2
    weights = torch.randn(network(start).shape, generator=torch.Generator().manual_seed(1))
    (network(start) * weights).sum().backward()
    with torch.no_grad():
        slope = ((network(start + direction) - network(start - direction)) * weights).sum() / 2
    assert float((start.grad * direction).sum()) == pytest.approx(float(slope), rel=2e-2)


@pytest.mark.slow
def test_only_the_text_encoder_of_the_same_clip_has_a_projection():
    scorer, encoder = load_scorer("mini"), load_model("mini").text_encoders[0][1]
    texts = ["a photo of a nurse", "a CEO"]
    states = load_model("mini").encode(texts)
    projected = states.at(states.first_eos) @ scorer.text_projection(encoder).T
    unit = torch.nn.functional.normalize(projected, dim=-1).numpy()
    np.testing.assert_allclose(unit, scorer.embed_texts(texts), atol=1e-5)

    assert scorer.text_projection(encoder.half()) is not None
    encoder.float()
    other = CLIPTextModel(encoder.config)
    assert scorer.text_projection(other) is None
    with torch.no_grad():
        next(encoder.parameters()).mul_(1.1)
    assert scorer.text_projection(encoder) is None


def test_differentiable_judgements_are_counted_and_other_judges_rejected():
    judge = CountedJudge("clip-xs", clip_xs())
    judge.logits(pixels(), TEXTS)
    assert judge.judgements == len(PEOPLE)
    with pytest.raises(EvenhandError, match="'tone-ita' provides no gradients"):
        CountedJudge("tone-ita", tone_ita()).logits(pixels(), TEXTS)
