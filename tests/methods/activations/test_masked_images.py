"""Images for training with masks of people, and their counterfactuals."""

import dataclasses

import numpy as np
import pytest
import torch
from helpers.activations import make, masked
from helpers.methods import GENDER, JOINT

from evenhand.bench.models.loading import load_model
from evenhand.methods.activations._masked_images import share_outside
from evenhand.methods.activations.efa import Efa


@pytest.fixture(scope="module")
def mini():
    return load_model("mini")


def test_the_share_outside_counts_tokens_by_how_much_of_them_is_outside():
    mask = torch.zeros(1, 1, 4, 4)
    mask[0, 0, :2] = 1
    mask[0, 0, 2, 0] = 1
    share = torch.tensor([[0.5, 0.1, 0.4, 0.8]])
    assert share_outside(share, mask).item() == pytest.approx((0.4 * 0.75 + 0.8) / 4)


@pytest.mark.slow
def test_the_mask_is_where_the_predictions_of_both_prompts_differ(mini):
    shown = masked(make(mini), {"gender": GENDER}, images=1, passes=2, threshold=1.5)
    rng = np.random.default_rng(0)
    rng.integers(2**31, size=2)
    t = torch.from_numpy(rng.integers(1000, size=2))
    eps = torch.from_numpy(rng.standard_normal((2, 4, 16, 16), dtype=np.float32))
    abar = mini.alphas_cumprod[t].view(2, 1, 1, 1)
    x_t = abar.sqrt() * shown.x[:1] + (1 - abar).sqrt() * eps
    own, other = (mini.encode([f"a photo of a {word} nurse"] * 2) for word in ("female", "male"))
    with torch.no_grad():
        d = (mini.predict(x_t, t, own) - mini.predict(x_t, t, other)).abs().mean(dim=(0, 1))
    assert torch.equal(shown.masks[0, 0], (d >= 1.5 * d.mean()).float())
    assert 0 < shown.masks[0].mean() < 0.5


def test_a_segmentation_model_gives_the_mask_where_most_pixels_are_a_person(mini):
    def person_masks(name):
        assert name == "some/model"

        def masks(images):
            found = np.zeros(images.shape[:3], bool)
            # Positions are squares of four pixels: three whole columns, and 5 of 16 pixels of the fourth.
            found[:, :, :12] = True
            found[:, ::4, 12:] = True
            return found

        return masks

    task = dataclasses.replace(make(mini), person_masks=person_masks)
    shown = masked(task, {"gender": GENDER}, images=1, segmenter="some/model")
    expected = torch.zeros(16, 16)
    expected[:, :3] = 1
    assert torch.equal(shown.masks, expected.expand(2, 1, 16, 16))


@pytest.mark.slow
def test_only_the_category_of_an_image_differs_in_its_counterfactual(mini):
    classes = Efa(categories="attributes")._classes(JOINT)
    assert {name: len(cells) for name, cells in classes.items()} == {"gender": 2, "age": 2}
    shown = masked(make(mini, cells=JOINT), classes, images=1, threshold=0)
    batch = shown.draw(8)
    other = {"female": "male", "male": "female", "young": "elderly", "elderly": "young"}
    seen = set()
    for i in range(8):
        changed, own = batch.texts[i].split(), batch.texts[8 + i].split()
        differ = [(b, a) for a, b in zip(changed, own, strict=True) if a != b and b not in ("a", "an")]
        (word, instead) = differ[0]
        assert len(differ) == 1 and instead == other[word]
        category = "gender" if word in ("female", "male") else "age"
        seen.add(category)
        assert batch.groups[category][i] == list(other).index(word) % 2
        assert batch.groups["age" if category == "gender" else "gender"][i] == -1
    assert seen == {"gender", "age"}


@pytest.mark.slow
def test_a_batch_holds_each_image_under_a_counterfactual_and_its_own_prompt(mini):
    task = make(mini, cells=JOINT)
    shown = masked(task, {"cell": JOINT}, images=2, passes=1, threshold=0)
    assert shown.masks.mean() == 1
    batch = shown.draw(6)
    assert batch.noised.shape == (12, 4, 16, 16) and torch.equal(batch.noised[:6], batch.noised[6:])
    for i in range(6):
        words = JOINT[batch.groups["cell"][i]].adjective
        assert f" {words} " in batch.texts[6 + i]
        assert f" {words} " not in batch.texts[i]
        assert batch.texts[i].split()[6:] == batch.texts[6 + i].split()[6:]
        assert all(of[i] == of[6 + i] for of in batch.groups.values())
