"""``clip-weak`` is deliberately inaccurate: how inaccurate, for which occupations, and in no panel."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.paths import ROOT
from torch.nn.functional import cross_entropy, normalize

from evenhand.bench.mini.autoencoder import through_autoencoder
from evenhand.bench.mini.calibrate import anchor_specs
from evenhand.bench.mini.judges import clip_weak, clip_xs
from evenhand.bench.mini.law import TAXONOMIES, law, occupations
from evenhand.bench.mini.train_weak_judge import (
    captioned,
    contrastive_loss,
    gender_accuracy,
    pixels_of,
    save,
    train,
)
from evenhand.bench.mini.world import KINDS, render
from evenhand.bench.suites.suite import load_suite

SHIPPED = ROOT / "docs" / "studies" / "judge-correction" / "recalls.csv"
SAMPLE = 320


@pytest.fixture(scope="module")
def women_read():
    """For newly rendered images: which show women, and which the judge labels as women."""
    specs = np.random.default_rng(5).permutation(anchor_specs(1))[:SAMPLE]
    answer = clip_weak().label(through_autoencoder(render(specs, seed=9)))["gender"]
    return specs[:, 2] == 0, answer.probabilities[:, 0] > 0.5


@pytest.mark.slow
def test_gender_accuracy_is_as_low_as_measured(women_read):
    shown, read = women_read
    recalls = pd.read_csv(SHIPPED).query(
        "pool == 'renders' and judge == 'clip-weak' and attribute == 'gender' and occupation == 'all'"
    )
    shipped = np.average(recalls["recall"], weights=recalls["n"])
    assert 0.85 <= shipped <= 0.92
    assert (shown == read).mean() == pytest.approx(shipped, abs=0.05)


def test_errors_depend_on_the_occupation_and_follow_its_stereotype():
    recalls = pd.read_csv(SHIPPED).query(
        "pool == 'renders' and judge == 'clip-weak' and attribute == 'gender' and occupation != 'all'"
    )
    single = recalls.pivot(index="occupation", columns="group", values="recall").loc[list(occupations())]
    assert (single.max() - single.min() > 0.3).all()
    of_women = law(("gender",))[:, 0] > 0.5
    assert single["woman"][of_women].mean() > single["woman"][~of_women].mean() + 0.08
    assert single["man"][~of_women].mean() > single["man"][of_women].mean() + 0.02


def test_it_shares_the_family_of_clip_xs_and_is_in_no_panel():
    assert clip_weak().info.family == clip_xs().info.family == "clip"
    assert "deliberately inaccurate" in clip_weak().info.title
    for name in ("mini", "mini-quick"):
        suite = load_suite(name)
        assert "clip-weak" not in {*suite.panel, *suite.non_voting_judges}


def test_captions_follow_the_recipe():
    captions, specs = captioned(4000, seed=3)
    kinds = np.bincount(specs[:, 0], minlength=len(KINDS)) / len(specs)
    np.testing.assert_allclose(kinds, [0.80, 0.08, 0.09, 0.03], atol=0.03)
    people = [
        (text.split(), spec)
        for text, spec in zip(captions, specs, strict=True)
        if KINDS[spec[0]] in ("occupation", "person")
    ]
    told = {"woman": 0, "female": 0, "man": 1, "male": 1}
    named = [(told[word], spec[2]) for words, spec in people for word in words if word in told]
    assert all(said == shown for said, shown in named)
    assert 0.25 < len(named) / len(people) < 0.45
    plain = np.array([spec for words, spec in people if not {*words} & {*told}])
    shares = np.bincount(plain[plain[:, 0] == 0, 1], plain[plain[:, 0] == 0, 2] == 0, len(occupations()))
    shares /= np.bincount(plain[plain[:, 0] == 0, 1], minlength=len(occupations()))
    assert np.corrcoef(shares, law(("gender",))[:, 0])[0, 1] > 0.9


def test_articles_are_correct_and_santa_has_none():
    captions, _ = captioned(2000, seed=4)
    words = [text.split() for text in captions]
    pairs = [pair for each in words for pair in pairwise(each)]
    assert {second[0] for first, second in pairs if first == "an"} <= set("aeiou")
    assert not [second for first, second in pairs if first == "a" and second[0] in "aeiou"]
    assert not [text for text in captions if "a Santa" in text or "a Mrs." in text]


def test_the_loss_equals_clips_for_distinct_captions_and_handles_equal_ones():
    class Fixed:
        logit_scale = torch.zeros(())

        def encode_image(self, pixels):
            return pixels

        def encode_text(self, texts):
            return texts

    features = normalize(torch.randn(5, 7, generator=torch.Generator().manual_seed(0)))
    logits = features @ features.T
    target = torch.arange(5)
    clip = (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2
    torch.testing.assert_close(contrastive_loss(Fixed(), features, features, target), clip)
    caption = torch.tensor([0, 1, 0, 2, 1])
    soft = (caption[:, None] == caption).float()
    soft /= soft.sum(dim=1, keepdim=True)
    clip = (cross_entropy(logits, soft) + cross_entropy(logits.T, soft)) / 2
    torch.testing.assert_close(contrastive_loss(Fixed(), features, features, caption), clip)


@pytest.mark.slow
def test_training_is_reproducible_and_its_weights_load_as_a_judge(tmp_path):
    (first, _), (second, _) = (train(captions=64, steps=2) for _ in range(2))
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name
    save(first, tmp_path / "weak")
    assert (tmp_path / "weak" / "open_clip_model.safetensors").stat().st_size < 2**20
    images = pixels_of(render(anchor_specs(1)[:8], seed=0))
    texts = torch.zeros(len(TAXONOMIES["gender"]), 24, dtype=torch.long)
    assert 0 <= gender_accuracy(first, texts, images, torch.zeros(8, dtype=torch.long)) <= 1
