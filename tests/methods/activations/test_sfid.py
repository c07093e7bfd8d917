"""SFID: the forest finds the channels that separate groups, and only they take the drawn group's value."""

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from helpers.methods import GENDER, JOINT

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.activations.sfid import Sfid, SfidIntervention, down_path_end, forest
from evenhand.methods.base import Task
from evenhand.methods.hooks import Batch, Site, Step
from evenhand.methods.shared.group_assignment import assignment_spec

PROTOCOL = Protocol(version="t", solver="ddim", steps=2, guidance=2.5, width=32, height=32, batch=4)
PROMPTS = ["a photo of a nurse", "a photo of a cat", "a nurse", "a portrait of a nurse"]
SEEDS = [1, 2, 3, 4]


@pytest.fixture(scope="module")
def sampler():
    return Sampler(load_model("mini"), PROTOCOL)


def task_of(sampler, cells, target=None):
    return Task(
        model=sampler and sampler.model,
        concepts=("nurse",),
        cells=tuple(cells),
        target=np.array([target or [1 / len(cells)] * len(cells)]),
        rng=np.random.default_rng(0),
        sample=sampler,
        judge=None,
    )


def planted(n=90):
    """Three groups separated by channels 2 and 5 of ten; the last row has a wrong label."""
    rng = np.random.default_rng(0)
    groups = np.arange(n) % 3
    x = rng.normal(size=(n, 10)).astype(np.float32)
    x[:, 2] += 6 * groups
    x[:, 5] -= 6 * groups
    lying = groups.copy()
    lying[-1] = 0
    return x, groups, lying


def test_planted_channels_are_found_with_the_mean_of_confident_images():
    x, groups, lying = planted()
    channels, values = Sfid(channels=2)._read(x, lying, ["a", "b", "c"], np.random.default_rng(0))
    assert set(channels) == {2, 5}
    # The mislabelled row counts for the group that the forest predicts.
    for group in range(3):
        assert np.allclose(values[group], x[groups == group][:, channels].mean(axis=0), atol=0.05)


def test_probabilities_come_from_trees_not_trained_on_the_row():
    x, _, lying = planted()
    _, probability = forest(x, lying, trees=100, seed=0)
    assert probability[-1].argmax() == 2
    assert np.allclose(probability.sum(axis=1), 1)


def test_only_the_chosen_channels_of_both_halves_are_overwritten():
    fitted = SfidIntervention(
        tensors={
            "channels/mid_block/gender": torch.tensor([[1, 3]]),
            "values/mid_block/gender": torch.tensor([[[10.0, 30.0], [-10.0, -30.0]]]),
        },
        data={
            "sites": ["mid_block"],
            "wishes": assignment_spec(task_of(None, GENDER, [0.0, 1.0])),
        },
    )
    draws = tuple(np.random.default_rng(i) for i in range(2))
    steering = fitted.steer(Batch(texts=("a cat", "a nurse"), seeds=(0, 1), draws=draws))
    output = torch.randn(4, 5, 2, 2, generator=torch.Generator().manual_seed(0))
    site = Site(name="mid_block", module=torch.nn.Identity(), inputs=(), keywords={})
    got = steering.feature(Step(index=1, count=2, timestep=torch.tensor(1), scale=2.5), site, output)
    expected = output.clone()
    for row in (1, 3):
        expected[row, 1], expected[row, 3] = -10.0, -30.0
    assert torch.equal(got, expected)


def denoised(unet, hooks):
    """The U-Net's prediction with forward hooks, by module name."""
    modules, generator = dict(unet.named_modules()), torch.Generator().manual_seed(0)
    handles = [modules[name].register_forward_hook(hook) for name, hook in hooks.items()]
    try:
        with torch.no_grad():
            latents = torch.randn(1, 4, 8, 8, generator=generator)
            states = torch.randn(1, 24, unet.config.cross_attention_dim, generator=generator)
            return unet(latents, 500, encoder_hidden_states=states).sample
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("last", ["DownBlock2D", "CrossAttnDownBlock2D"])
def test_the_skip_connection_is_overwritten_as_by_the_assignment_of_the_release(last):
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=2,
        down_block_types=("CrossAttnDownBlock2D", last),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=8,
    )

    def assigned(module, inputs, output):
        output[0][:, [3, 5]] = 7.0  # in place, after the down path, as in the released U-Net

    def replaced(module, inputs, output):
        changed = (output if isinstance(output, torch.Tensor) else output[0]).clone()
        changed[:, [3, 5]] = 7.0
        return changed if isinstance(output, torch.Tensor) else (changed, *output[1:])

    released = denoised(unet, {"down_blocks.1": assigned})
    torch.testing.assert_close(denoised(unet, {down_path_end(unet, skip=True): replaced}), released)
    without = denoised(unet, {down_path_end(unet, skip=False): replaced})
    assert (without - released).abs().max() > 1e-2 * released.abs().max()


@pytest.mark.slow
@pytest.mark.parametrize("at", ["last", "each"])
def test_one_forest_serves_all_steps_or_each_step_has_its_own(sampler, at):
    fitted = Sfid(images=6, channels=5, at=at).fit(task_of(sampler, JOINT))
    assert {len(tensor) for tensor in fitted.tensors.values()} == {1 if at == "last" else 2}
    assert set(fitted.sites()) == {"down_blocks.2.attentions.0", "mid_block"}
    made, baseline = sampler(PROMPTS, SEEDS, intervention=fitted), sampler(PROMPTS, SEEDS)
    assert [bool((a == b).all()) for a, b in zip(made, baseline, strict=True)] == [False, True, False, False]


def test_too_many_channels_raise_an_error(sampler):
    with pytest.raises(EvenhandError, match="'channels' is 500, but the module has 192"):
        Sfid(images=2, channels=500).fit(task_of(sampler, GENDER))


def test_a_group_without_confident_images_raises_an_error():
    x, groups, _ = planted()
    noise = np.random.default_rng(1).normal(size=x.shape).astype(np.float32)
    with pytest.raises(EvenhandError, match="confident about no image of group 'a'"):
        Sfid(channels=2, confidence=0.99)._read(noise, groups, ["a", "b", "c"], np.random.default_rng(0))
