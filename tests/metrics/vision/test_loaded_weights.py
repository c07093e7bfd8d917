"""Parameters that no file contains."""

import pytest
import torch
from safetensors.torch import save_file

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.vision.loaded_weights import require_loaded


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
