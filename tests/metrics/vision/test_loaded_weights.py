"""Parameters that no file contains."""

from functools import cached_property

import pytest
import torch
from safetensors.torch import save_file

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.vision.loaded_weights import forget_networks, require_loaded


@pytest.fixture
def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Linear(4, 3))


def stored(network, folder, *, without=(), dtype=torch.float32):
    """A folder with the network's tensors under other names, in two files."""
    for number, (name, value) in enumerate(network.state_dict().items()):
        if name not in without:
            save_file({f"other.{number}": value.to(dtype)}, folder / f"{number % 2}-{number}.safetensors")
    return folder


def test_names_and_files_do_not_matter(network, tmp_path):
    require_loaded(network, stored(network, tmp_path))


def test_rounding_to_half_precision_does_not_matter(network, tmp_path):
    require_loaded(network, stored(network, tmp_path, dtype=torch.float16))


def test_a_parameter_without_its_tensor_is_named(network, tmp_path):
    folder = stored(network, tmp_path, without=("1.weight",))
    with pytest.raises(EvenhandError, match=r"weights 1\.weight of Sequential are in no file of .*at random"):
        require_loaded(network, folder)


def test_a_parameter_that_was_initialised_again_is_named(network, tmp_path):
    folder = stored(network, tmp_path)
    torch.nn.init.normal_(network[0].bias)
    with pytest.raises(EvenhandError, match=r"weights 0\.bias"):
        require_loaded(network, folder)


def test_a_parameter_without_values_is_named(network, tmp_path):
    folder = stored(network, tmp_path)
    with pytest.raises(EvenhandError, match=r"weights 0\.weight"):
        require_loaded(network.to("meta"), folder)


@pytest.mark.parametrize("precision", ["Int8WeightOnlyConfig", "Float8WeightOnlyConfig"])
def test_quantized_parameters_are_compared_more_loosely(precision, tmp_path):
    quantization = pytest.importorskip("torchao.quantization")
    stored, other = (torch.nn.Sequential(torch.nn.Linear(64, 64)) for _ in range(2))
    save_file(stored.state_dict(), tmp_path / "model.safetensors")
    other[0].bias = stored[0].bias
    for network in (stored, other):
        quantization.quantize_(network, getattr(quantization, precision)())
    require_loaded(stored, tmp_path)
    with pytest.raises(EvenhandError, match=r"weights 0\.weight of Sequential are in no file"):
        require_loaded(other, tmp_path)


class Owner:
    """Loads its networks when asked, and counts how often."""

    loads = 0

    @cached_property
    def alone(self):
        self.loads += 1
        return torch.nn.Linear(2, 2)

    @cached_property
    def among_others(self):
        return {"folder": ("processor", torch.nn.Linear(2, 2))}

    @cached_property
    def no_network(self):
        return ("texts", torch.zeros(2))


def test_forgotten_networks_are_loaded_again_and_nothing_else():
    owner = Owner()
    texts, owner.given = owner.no_network, torch.nn.Linear(2, 2)
    _ = owner.alone, owner.among_others
    forget_networks(owner)
    assert {*vars(owner)} == {"no_network", "given", "loads"}
    assert owner.no_network is texts
    _ = owner.alone, owner.alone
    assert owner.loads == 2
