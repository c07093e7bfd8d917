"""Low-rank updates of weight edits: rank and error are those of the singular values."""

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from evenhand.bench.errors import EvenhandError
from evenhand.bench.export.lora import DIFFUSERS_FILE, KOHYA_FILE, low_rank_edit, save_lora

NAME = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight"
OTHER = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_v.weight"


def with_values(shape, values, *, seed=0):
    """A matrix with these singular values."""
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.normal(size=(side, len(values))))[0] for side in shape)
    return torch.from_numpy(left @ np.diag(values) @ right.T).float()


def edit(**changes):
    original = {name: torch.randn(value.shape) for name, value in changes.items()}
    return {name: original[name] + value for name, value in changes.items()}, original


@pytest.mark.parametrize(("error", "rank"), [(0.5, 1), (0.2, 2), (0.02, 3), (1e-3, 4)])
def test_the_rank_is_the_least_with_the_error_of_the_left_out_singular_values(error, rank):
    values = np.array([10.0, 4.0, 1.0, 0.1])
    edited, original = edit(**{NAME: with_values((16, 24), values)})
    found = low_rank_edit(edited, original, error=error)
    expected = np.sqrt((values[rank:] ** 2).sum() / (values**2).sum())
    assert found.rank == rank and found.error == pytest.approx(expected, abs=1e-5)
    weights = found.weights(original)[NAME]
    true = torch.linalg.norm(weights - edited[NAME]) / torch.linalg.norm(edited[NAME] - original[NAME])
    assert true == pytest.approx(expected, abs=1e-5)


def test_all_layers_have_the_rank_of_the_one_that_needs_most():
    changes = {NAME: with_values((16, 24), [3.0]), OTHER: with_values((16, 24), [3.0, 2.0, 1.0], seed=1)}
    edited, original = edit(**changes)
    found = low_rank_edit(edited, original, error=1e-3)
    assert found.rank == 3
    assert {tuple(up.shape) + tuple(down.shape) for up, down in found.updates.values()} == {(16, 3, 3, 24)}


def test_a_layer_with_fewer_singular_values_is_padded():
    changes = {NAME: with_values((2, 24), [3.0, 1.0]), OTHER: with_values((16, 24), [3.0, 2.0, 1.0], seed=1)}
    edited, original = edit(**changes)
    found = low_rank_edit(edited, original, error=1e-3)
    up, down = found.updates[NAME]
    assert up.shape == (2, 3) and down.shape == (3, 24)
    torch.testing.assert_close(found.weights(original)[NAME], edited[NAME])


def test_weights_that_do_not_change_are_left_out():
    edited, original = edit(**{NAME: with_values((16, 24), [1.0]), OTHER: torch.zeros(16, 24)})
    assert list(low_rank_edit(edited, original, error=1e-3).updates) == [NAME]
    with pytest.raises(EvenhandError, match="changes no weights"):
        low_rank_edit({OTHER: original[OTHER]}, original, error=1e-3)


@pytest.mark.parametrize(
    ("name", "change"),
    [("unet.conv_in.weight", torch.ones(4, 4, 3, 3)), ("unet.mid_block.to_k.bias", torch.ones(4))],
)
def test_other_layers_than_linear_ones_are_refused(name, change):
    edited, original = edit(**{name: change})
    with pytest.raises(EvenhandError, match=f"{name} is not the weight of a linear layer"):
        low_rank_edit(edited, original, error=1e-3)


@pytest.mark.parametrize("error", [0, 1, -1, float("nan")])
def test_an_error_out_of_range_is_refused(error):
    with pytest.raises(EvenhandError, match="error must be above 0 and below 1"):
        low_rank_edit({}, {}, error=error)


@pytest.mark.parametrize(
    ("encoders", "kohya"),
    [(["text_encoder"], ["lora_te"]), (["text_encoder", "text_encoder_2"], ["lora_te1", "lora_te2"])],
)
def test_both_files_name_layers_as_their_readers_do(tmp_path, encoders, kohya):
    names = [NAME, *(f"{part}.encoder.layers.0.mlp.fc1.weight" for part in encoders)]
    edited, original = edit(**{name: with_values((16, 24), [2.0, 1.0]) for name in names})
    save_lora(low_rank_edit(edited, original, error=1e-3), tmp_path)
    module = NAME.removeprefix("unet.").removesuffix(".weight")
    assert set(load_file(tmp_path / DIFFUSERS_FILE)) == {
        f"{layer}.lora_{side}.weight"
        for layer in [f"unet.{module}", *(f"{part}.text_model.encoder.layers.0.mlp.fc1" for part in encoders)]
        for side in "AB"
    }
    layers = [f"lora_unet_{module.replace('.', '_')}"]
    layers += [f"{part}_text_model_encoder_layers_0_mlp_fc1" for part in kohya]
    stored = load_file(tmp_path / KOHYA_FILE)
    ends = ("lora_down.weight", "lora_up.weight", "alpha")
    assert set(stored) == {f"{layer}.{end}" for layer in layers for end in ends}
    assert all(float(value) == 2 for name, value in stored.items() if name.endswith("alpha"))
    with safe_open(tmp_path / KOHYA_FILE, framework="pt") as file:
        assert file.metadata()["ss_network_dim"] == file.metadata()["ss_network_alpha"] == "2"
