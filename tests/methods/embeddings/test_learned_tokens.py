"""Learned tokens in prompts: states, queue and attention."""

import numpy as np
import pytest
import torch
from helpers.iti_gen import PROMPTS, SEEDS, drawn

from evenhand.methods.embeddings._learned_tokens import LearnedTokens, contribution, insert
from evenhand.methods.hooks import Batch, Site, Step


@pytest.mark.slow
def test_tokens_of_attributes_add_and_overwrite_the_end_of_text(learner):
    rows = torch.randn(4, 24, 192)
    eos = torch.tensor([6, 6, 3, 10])
    tokens = learner.cell_tokens()
    written = insert(rows, eos, tokens)
    for cell in range(4):
        gender, age = (learner.groups[name][cell] for name in ("gender", "age"))
        expected = rows[cell].clone()
        expected[int(eos[cell]) : int(eos[cell]) + 3] = (
            learner.tokens["gender"][gender] + learner.tokens["age"][age]
        )
        torch.testing.assert_close(written[cell], expected)


@pytest.mark.parametrize(("amplified", "positions"), [({}, [3, 4, 5]), ({"amplified": "end"}, [6])])
def test_attention_is_amplified_at_the_learned_tokens_or_at_the_row_after_them(
    sampler, model, amplified, positions
):
    """The learned tokens of "a nurse" begin at row 3, after the begin of text and two words."""
    name = next(name for name, _ in model.unet.named_modules() if name.endswith("attn2"))
    module = model.unet.get_submodule(name)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(2, 64, module.to_q.in_features, generator=generator)
    states = torch.randn(2, 24, 192, generator=generator)
    site = Site(name, module, (pixels,), {"encoder_hidden_states": states})
    batch = Batch(
        texts=("a nurse",), seeds=(0,), draws=(np.random.default_rng(0),), encode=model.encode_uncached
    )
    steering = drawn(sampler, amplify=3.0, **amplified).steer(batch)
    output = torch.zeros(2, 64, module.to_q.in_features)
    step = Step(index=0, count=1, timestep=torch.tensor(1), scale=2.5)
    chosen = torch.zeros(1, 24)
    chosen[0, positions] = 1.0
    expected = 2 * contribution(site, torch.tensor([1]), chosen)
    got = steering.feature(step, site, output)
    torch.testing.assert_close(got[1:], expected)
    assert not got[0].any()


def test_the_queue_uses_the_original_prompt_for_its_share_of_the_steps(sampler):
    seen = []

    class Watched(LearnedTokens):
        def steer(self, batch):
            steering = super().steer(batch)
            ask = steering.text

            def text(step, states, latents):
                seen.append(torch.equal(ask(step, states, latents), states))
                return states

            steering.text = text
            return steering

    given = drawn(sampler, queue=0.5)
    sampler(PROMPTS, SEEDS, intervention=Watched(tensors=given.tensors, data=given.data))
    assert seen == [True, True, False, False]


def test_amplified_attention_equals_diffusers_attention_with_multiplied_weights(model):
    from diffusers.models.attention_processor import AttnProcessor

    name = next(name for name, _ in model.unet.named_modules() if name.endswith("attn2"))
    module = model.unet.get_submodule(name)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(3, 64, module.to_q.in_features, generator=generator)
    states = torch.randn(3, 24, 192, generator=generator)
    site = Site(name, module, (pixels,), {"encoder_hidden_states": states})
    rows, chosen = torch.tensor([0, 2]), torch.zeros(2, 24)
    chosen[0, 6:9], chosen[1, 4:7] = 1.0, 1.0
    output = module(pixels, encoder_hidden_states=states)
    got = output.index_add(0, rows, 9 * contribution(site, rows, chosen))
    everything = contribution(site, rows, torch.ones(2, 24)) + module.to_out[0].bias
    torch.testing.assert_close(everything, output[rows], atol=1e-5, rtol=1e-4)

    class Amplified(AttnProcessor):
        def __call__(self, attn, *arguments, **keywords):
            own = attn.get_attention_scores

            def scores(query, key, mask=None):
                found = own(query, key, mask)
                factor = torch.ones(3, 24)
                factor[rows] += 9 * chosen
                return found * factor.repeat_interleave(len(found) // 3, dim=0)[:, None]

            attn.get_attention_scores = scores
            try:
                return super().__call__(attn, *arguments, **keywords)
            finally:
                del attn.get_attention_scores

    before = module.processor
    module.set_processor(Amplified())
    expected = module(pixels, encoder_hidden_states=states)
    module.set_processor(before)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)
