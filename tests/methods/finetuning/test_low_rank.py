"""Low-rank updates of the text encoder, against peft."""

import numpy as np
import pytest
import torch

from evenhand.bench.models.loading import load_model
from evenhand.methods.finetuning._low_rank import low_rank
from evenhand.methods.shared.training import train


@pytest.fixture(scope="module")
def model():
    return load_model("mini")


def test_updates_merge_like_in_peft_and_are_removed_afterwards(model):
    networks = {"unet": model.unet, "text_encoder": model.text_encoders[0][1]}
    before = {part: dict(network.state_dict()) for part, network in networks.items()}
    kinds = [type(module) for network in networks.values() for module in network.modules()]
    original = model.encode_uncached(["a nurse"]).states
    with low_rank(networks, rank=3, rng=np.random.default_rng(0)) as updates:
        same = updates.merged()
        assert all(torch.equal(value, before[name.partition(".")[0]][name.partition(".")[2]])
                   for name, value in same.items())  # fmt: skip
        with torch.no_grad():
            for parameter in updates.parameters():
                parameter.add_(
                    torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.02
                )
        merged = updates.merged()
        with_updates = model.encode_uncached(["a nurse"]).states
        with updates.disabled():
            assert torch.equal(model.encode_uncached(["a nurse"]).states, original)
        for part, tuner in updates._tuners.items():
            layer = next(module for module in tuner.modules() if hasattr(module, "lora_A"))
            name = next(n for n, m in tuner.model.named_modules() if m is layer)
            kept = layer.base_layer.weight.detach().clone()
            layer.merge()
            torch.testing.assert_close(merged[f"{part}.{name}.weight"], layer.base_layer.weight.data)
            layer.unmerge()
            layer.base_layer.weight.data.copy_(kept)
    assert [type(module) for network in networks.values() for module in network.modules()] == kinds
    for part, network in networks.items():
        assert network.state_dict().keys() == before[part].keys()
        assert all(torch.equal(value, before[part][name]) for name, value in network.state_dict().items())
        assert not any(parameter.requires_grad for parameter in network.parameters())
    with model.edited(merged):
        torch.testing.assert_close(
            model.encode_uncached(["a nurse"]).states, with_updates, atol=1e-5, rtol=1e-4
        )
    assert any(".attn1." in name for name in merged) and any("mlp.fc1" in name for name in merged)


@pytest.mark.slow
def test_initial_updates_come_from_the_random_stream_of_the_task(model):
    def start(seed):
        with low_rank({"unet": model.unet}, rank=2, rng=np.random.default_rng(seed)) as updates:
            return torch.cat([parameter.detach().flatten() for parameter in updates.parameters()])

    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = start(0)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first, start(0)) and not torch.equal(first, start(1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_updates_are_trained_in_float32_and_merged_in_the_precision_of_the_network(dtype):
    """A step of 1e-4 from 0.5 is less than the spacing of bfloat16 there."""
    network = torch.nn.ModuleDict({"to_q": torch.nn.Linear(4, 4, bias=False, dtype=dtype)}).requires_grad_(
        False
    )
    with low_rank({"unet": network}, rank=2, rng=np.random.default_rng(0)) as updates:
        trained = updates.parameters()
        assert {parameter.dtype for parameter in trained} == {torch.float32}
        with torch.no_grad():
            trained[1].fill_(0.5)
        before = trained[1].detach().clone()
        train(
            trained,
            lambda step: network["to_q"](torch.ones(1, 4, dtype=dtype)).float().square().mean(),
            steps=3,
            learning_rate=1e-4,
        )
        assert (trained[1] != before).all() and trained[0].isfinite().all()
        assert {weight.dtype for weight in updates.merged().values()} == {dtype}
