"""Attention with additional slots, against a naive softmax."""

import math

import numpy as np
import pytest
import torch
from helpers.families import pipeline

from evenhand.bench.models.loading import load_model
from evenhand.methods.activations._attention_slot import Slots, attend, fresh_convolutions, token_grid
from evenhand.methods.hooks import Site

MODULE = "up_blocks.0.attentions.0.transformer_blocks.0.attn2"


@pytest.fixture(scope="module")
def mini():
    return load_model("mini")


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


def test_scores_too_large_for_half_precision_do_not_overflow():
    """As in Stable Diffusion 2.1, whose configuration asks for attention in float32."""
    module = pipeline("sd2").unet.half().get_submodule("up_blocks.0.attentions.0.transformer_blocks.0.attn2")
    with torch.no_grad():
        module.to_q.weight.mul_(300)
        module.to_k.weight.mul_(300)
    width = module.to_k.in_features
    x, text = random(2, 16, module.to_q.in_features).half(), random(2, 5, width, seed=1).half()
    site = called(module, x, text)
    products = (module.to_q(x) @ module.to_k(text).mT).abs()
    assert products.isinf().any()
    closed, words = torch.full((2, 16, 3), -math.inf), random(2, 3, width, seed=2).half()
    got, _ = attend(site, rows=slice(None), logits=closed, words=words)
    torch.testing.assert_close(got, module(x, encoder_hidden_states=text), rtol=0.02, atol=0.02)


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
