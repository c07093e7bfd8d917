"""EFA: additional slots in cross-attention, their masks and their training."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from helpers.families import pipeline
from helpers.methods import GENDER, JOINT

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.activations._attention_slot import Slots, attend, fresh_convolutions, token_grid
from evenhand.methods.activations._masked_images import MaskedImages, share_outside
from evenhand.methods.activations.efa import Efa, EfaIntervention
from evenhand.methods.base import Cell, Task
from evenhand.methods.hooks import Batch, Site

PROTOCOL = Protocol(version="t", solver="ddim", steps=2, guidance=2.5, width=64, height=64, batch=4)
PROMPTS = ["a photo of a nurse", "a photo of a cat", "a photo of a construction worker", "a nurse"]
SEEDS = [1, 2, 3, 4]
MODULE = "up_blocks.0.attentions.0.transformer_blocks.0.attn2"
TONE = tuple(
    Cell(groups={"tone": tone}, adjective=words, noun=f"{words} person", adjectives={"tone": words})
    for tone, words in (("light", "light-skinned"), ("dark", "dark-skinned"))
)
QUICK = {"segmenter": "", "images": 1, "passes": 1, "hidden": 4, "steps": 1, "batch": 1}


@pytest.fixture(scope="module")
def mini():
    return load_model("mini")


def make(mini, *, cells=GENDER, concepts=("nurse", "construction worker"), seed=0):
    return Task(
        model=mini,
        concepts=tuple(concepts),
        cells=tuple(cells),
        target=np.full((len(concepts), len(cells)), 1 / len(cells)),
        rng=np.random.default_rng(seed),
        sample=Sampler(mini, PROTOCOL),
        judge=lambda images, texts: pytest.fail("nothing is judged"),
    )


def masked(task, classes, *, images, **more):
    template = "a photo of {a} {adjective} {concept}"
    return MaskedImages(
        task, classes, stated=template, **{"images": images, "passes": 1, "threshold": 0} | more
    )


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def called(module, x, text):
    return Site(name=MODULE, module=module, inputs=(x,), keywords={"encoder_hidden_states": text})


@pytest.mark.parametrize("family", ["mini", "sd1", "sd2", "sdxl"])
def test_the_output_equals_a_naive_softmax_over_words_and_slots(mini, family):
    unet = mini.unet if family == "mini" else pipeline(family).unet
    module = next(
        m for name, m in unet.named_modules() if name.startswith("up_blocks") and name.endswith("attn2")
    )
    n, tokens, slots = 2, 16, 3
    m, d = module.to_q.in_features, module.to_k.in_features
    x, text, words = random(n, tokens, m), random(n, 5, d, seed=1), random(n, slots, d, seed=2)
    logits = random(n, tokens, slots, seed=3)
    logits[1, :, 2] = -math.inf
    got, share = attend(called(module, x, text), rows=slice(None), logits=logits, words=words)

    weights = {
        name: getattr(module, name).weight.double().detach().numpy() for name in ("to_q", "to_k", "to_v")
    }
    out_weight, out_bias = (
        p.double().detach().numpy() for p in (module.to_out[0].weight, module.to_out[0].bias)
    )
    width = weights["to_q"].shape[0] // module.heads
    for i in range(n):
        xi, ti, wi, li = (of[i].double().numpy() for of in (x, text, words, logits))
        q, k = xi @ weights["to_q"].T, ti @ weights["to_k"].T
        v = np.concatenate([ti @ weights["to_v"].T, wi @ weights["to_v"].T])
        mixed, shares = np.zeros((tokens, width * module.heads)), np.zeros(tokens)
        for h in range(module.heads):
            of_head = slice(h * width, (h + 1) * width)
            scores = np.concatenate([q[:, of_head] @ k[:, of_head].T / np.sqrt(width), li], axis=1)
            e = np.exp(scores - scores.max(axis=1, keepdims=True))
            attention = e / e.sum(axis=1, keepdims=True)
            mixed[:, of_head] = attention @ v[:, of_head]
            shares += attention[:, 5:].sum(axis=1) / module.heads
        np.testing.assert_allclose(got[i].detach(), mixed @ out_weight.T + out_bias, atol=2e-5)
        np.testing.assert_allclose(share[i].detach(), shares, atol=1e-6)


def test_closed_slots_do_not_change_the_output_of_the_module(mini):
    module = mini.unet.get_submodule(MODULE)
    x, text, words = random(2, 16, 192), random(2, 5, 192, seed=1), random(2, 3, 192, seed=2)
    closed = torch.full((2, 16, 3), -math.inf)
    got, share = attend(called(module, x, text), rows=slice(None), logits=closed, words=words)
    torch.testing.assert_close(got, module(x, encoder_hidden_states=text))
    assert not share.any()


def slots_of(*, groups=3, slots=2, width=6, m=5):
    rng = np.random.default_rng(0)
    tensors = {
        "words/age": random(groups, slots, width),
        "open/age": torch.tensor([[1.0, 1], [1, 0], [1, 1]]),
    }
    tensors |= fresh_convolutions(f"{MODULE}/age", inputs=m, hidden=4, outputs=groups * slots, rng=rng)
    tensors[f"{MODULE}/age/2.weight"] = random(groups * slots, 4, 3, 3, seed=5)
    tensors[f"{MODULE}/age/2.bias"] = random(groups * slots, seed=6)
    return Slots(tensors, ["age"])


def test_logits_are_three_convolutions_with_two_silu_of_the_drawn_group():
    slots, x, grid = slots_of(), random(3, 12, 5), (4, 3)
    groups = {"age": torch.tensor([2, 1, -1])}
    got = slots.logits(MODULE, x, groups, grid=grid)
    layers = []
    for layer in range(3):
        weight, bias = (slots.tensors[f"{MODULE}/age/{layer}.{part}"] for part in ("weight", "bias"))
        convolution = torch.nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
        convolution.load_state_dict({"weight": weight, "bias": bias})
        layers += [convolution, torch.nn.SiLU()]
    with torch.no_grad():
        # Token k is the pixel in row k // 3 and column k % 3.
        every = torch.nn.Sequential(*layers[:-1])(x.transpose(1, 2).reshape(3, 5, 4, 3))
    for k in range(12):
        torch.testing.assert_close(got[0, k], every[0, 4:6, k // 3, k % 3])
        torch.testing.assert_close(got[1, k, 0], every[1, 2, k // 3, k % 3])
    # The second group has one word, and the last image has no assigned group.
    assert (got[1, :, 1] == -math.inf).all() and (got[2] == -math.inf).all()
    assert torch.equal(slots.words(groups)[0], slots.tensors["words/age"][2])


def test_untrained_convolutions_give_logits_of_zero():
    tensors = fresh_convolutions("m/a", inputs=5, hidden=4, outputs=6, rng=np.random.default_rng(0))
    slots = Slots(tensors | {"open/a": torch.ones(3, 2), "words/a": torch.zeros(3, 2, 6)}, ["a"])
    assert not slots.logits("m", random(2, 12, 5), {"a": torch.tensor([0, 1])}, grid=(4, 3)).any()


@pytest.mark.parametrize(
    ("tokens", "latents", "grid"),
    [(16, (16, 16), (4, 4)), (256, (64, 64), (16, 16)), (24, (16, 24), (4, 6)), (384, (16, 24), (16, 24))],
)
def test_the_grid_of_the_tokens_follows_the_latents(tokens, latents, grid):
    assert token_grid(tokens, latents) == grid


def test_the_share_outside_counts_tokens_by_how_much_of_them_is_outside():
    mask = torch.zeros(1, 1, 4, 4)
    mask[0, 0, :2] = 1
    mask[0, 0, 2, 0] = 1
    share = torch.tensor([[0.5, 0.1, 0.4, 0.8]])
    assert share_outside(share, mask).item() == pytest.approx((0.4 * 0.75 + 0.8) / 4)


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


@pytest.mark.slow
def test_scale_zero_does_not_change_any_image(mini):
    fitted = Efa(**QUICK, scale=0).fit(make(mini))
    sampler = Sampler(mini, PROTOCOL)
    assert (sampler(PROMPTS, SEEDS, intervention=fitted) == sampler(PROMPTS, SEEDS)).all()


@pytest.mark.slow
def test_slots_change_only_images_of_a_concept(mini):
    fitted = Efa(**QUICK, scale=50).fit(make(mini))
    sampler = Sampler(mini, PROTOCOL)
    same = (sampler(PROMPTS, SEEDS, intervention=fitted) == sampler(PROMPTS, SEEDS)).all(axis=(1, 2, 3))
    assert same.tolist() == [False, True, False, False]


@pytest.mark.slow
def test_slots_act_only_on_the_conditional_half(mini):
    fitted = Efa(**QUICK, scale=50).fit(make(mini, concepts=("nurse",)))
    seen = []

    class Watched(EfaIntervention):
        def steer(self, batch):
            steering = super().steer(batch)
            feature = steering.feature

            def keep(step, site, output):
                changed = feature(step, site, output)
                seen.append((changed != output).flatten(1).any(dim=1).tolist())
                return changed

            steering.feature = keep
            return steering

    watched = Watched(tensors=fitted.tensors, data=fitted.data)
    Sampler(mini, PROTOCOL)(PROMPTS, SEEDS, intervention=watched)
    assert len(seen) == PROTOCOL.steps * len(fitted.sites())
    assert all(rows == [False] * 4 + [True, False, False, True] for rows in seen)


@pytest.mark.slow
def test_training_reduces_the_loss_within_the_budget(mini):
    quick = {"images": 1, "passes": 1, "hidden": 16, "steps": 24, "batch": 2, "learning_rate": 0.01}
    method = Efa(segmenter="", **quick, l1=0.5, l2=0.5)
    before = mini.evaluations
    fitted = method.fit(make(mini, concepts=("nurse",)))
    assert mini.evaluations - before == method.budget(concepts=1, cells=GENDER).evaluations == 2 * (2 + 48)
    for name in ("total", "share_where_stated", "share_outside"):
        assert fitted.record[name]["last_loss"] < fitted.record[name]["first_loss"]


@pytest.mark.slow
def test_slots_carry_a_group_against_the_prompt(mini):
    """Without the terms that close them, slots move the prediction towards that of the own prompt."""
    keywords = {
        "hidden": 16,
        "steps": 20,
        "batch": 3,
        "learning_rate": 0.01,
        "l1": 0,
        "l2": 0,
        "threshold": 0,
    }
    method = Efa(segmenter="", images=2, passes=1, blocks=(0, 1), slots="end", **keywords)
    task = make(mini, cells=TONE, concepts=("nurse",))
    fitted = method.fit(task)
    shown = masked(task, {"cell": TONE}, images=2, passes=1, threshold=0)
    batch = shown.draw(8)
    slots = Slots(fitted.tensors, ["cell"])

    def open_slots(site, output):
        x = site.inputs[0]
        logits = slots.logits(site.name, x, batch.groups, grid=token_grid(x.shape[1], (16, 16)))
        return attend(site, rows=slice(None), logits=logits, words=slots.words(batch.groups))[0]

    with torch.no_grad():
        text = mini.encode(batch.texts)
        counterfactual, own = mini.predict(batch.noised, batch.timesteps, text).chunk(2)
        with mini.features(fitted.sites(), open_slots):
            slotted = mini.predict(batch.noised, batch.timesteps, text)[:8]
    assert (slotted - own).pow(2).mean() < 0.9 * (counterfactual - own).pow(2).mean()


@pytest.mark.parametrize(("slots", "more"), [("words", 0), ("end", 1), ("all", None)])
def test_slots_hold_the_states_of_the_phrase(mini, slots, more):
    method = Efa(**QUICK, phrase="a photo of {a} {noun}", slots=slots)
    found, _ = method._slots(make(mini), method._modules(mini), {"cell": TONE})
    text = mini.encode(["a photo of a light-skinned person", "a photo of a dark-skinned person"])
    for index in range(2):
        is_open = found.tensors["open/cell"][index] > 0
        end = None if more is None else text.first_eos[index] + more
        assert torch.equal(found.tensors["words/cell"][index][is_open], text.states[index, 1:end])


@pytest.mark.slow
@pytest.mark.parametrize("categories", ["cells", "attributes"])
@pytest.mark.parametrize("stated", ["draw", "follow"])
def test_an_image_opens_the_slots_of_a_cell_that_fits_its_prompt(mini, categories, stated):
    fitted = Efa(**QUICK, categories=categories, stated=stated).fit(make(mini, cells=JOINT))
    prompts = ["a photo of an elderly nurse"] * 30 + ["a photo of a cat"]
    draws = tuple(np.random.default_rng(seed) for seed in range(31))
    groups = fitted.steer(Batch(tuple(prompts), tuple(range(31)), draws)).groups
    assert set(groups) == ({"cell"} if categories == "cells" else {"gender", "age"})
    assert all(of[30] == -1 for of in groups.values())
    if categories == "cells":
        drawn = [tuple(JOINT[i].groups.values()) for i in groups["cell"][:30].tolist()]
    else:
        names = {name: list(dict.fromkeys(c.groups[name] for c in JOINT)) for name in groups}
        drawn = list(zip(*([names[n][i] for i in groups[n][:30].tolist()] for n in groups), strict=True))
    assert len(set(drawn)) == (2 if stated == "follow" else 4)


@pytest.mark.parametrize(
    ("paths", "blocks", "expected"),
    [
        (("up",), (0,), {"up_blocks.0"}),
        (("up",), (2, 0), {"up_blocks.0", "up_blocks.2"}),
        (("mid",), (0,), {"mid_block"}),
        (("down", "up"), (1,), {"down_blocks.0", "down_blocks.1", "down_blocks.2", "up_blocks.1"}),
    ],
)
def test_the_chosen_paths_and_blocks_get_slots(mini, paths, blocks, expected):
    names = Efa(paths=paths, blocks=blocks)._modules(mini)
    assert all(name.endswith("attn2") for name in names)
    assert {name.partition(".attentions")[0] for name in names} == expected


def test_no_cross_attention_in_the_chosen_paths_raises_an_error(mini):
    with pytest.raises(EvenhandError, match=r"no cross-attention in paths \['up'\] and blocks \[\]; choose"):
        Efa(blocks=())._modules(mini)


def test_a_missing_block_raises_an_error(mini):
    with pytest.raises(EvenhandError, match=r"'blocks' is \[0, 3\], but mini has 3 up blocks .* from 0 to 2"):
        Efa(**QUICK, blocks=(0, 3)).fit(make(mini))
