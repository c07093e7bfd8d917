"""Preprocessing in torch, against torchvision and by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as reference

from evenhand.metrics.vision.pixels import input_side, shown, squares

HALF = {"mean": [0.5] * 3, "std": [0.5] * 3}


def noise(height, width):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_an_image_of_the_networks_size_is_only_normalised():
    pixels = noise(8, 8)
    mean, std = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]
    expected = reference.normalize((pixels[0] + 1) / 2, mean, std)
    assert torch.allclose(shown(pixels, size=8, mean=mean, std=std)[0], expected, atol=1e-6)


def test_values_outside_the_range_are_clipped():
    assert shown(
        torch.tensor([-3.0, 3.0]).view(1, 1, 1, 2).expand(1, 3, 2, 2), size=2, **HALF
    ).unique().tolist() == [
        -1,
        1,
    ]


@pytest.mark.parametrize(("height", "width"), [(24, 16), (16, 24), (15, 40)])
def test_other_sizes_are_resized_and_cropped_at_the_centre(height, width):
    grey = torch.linspace(-1, 1, height)[:, None] * torch.linspace(0.5, 1, width)
    pixels = grey.expand(1, 3, height, width)
    bytes_ = ((grey + 1) * 127.5).round().byte().numpy()
    image = Image.fromarray(np.stack([bytes_] * 3, axis=-1))
    resized = reference.resize(image, [8], interpolation=reference.InterpolationMode.BICUBIC)
    expected = reference.to_tensor(reference.center_crop(resized, [8, 8])) * 2 - 1
    found = shown(pixels, size=8, **HALF)[0]
    assert found.shape == (3, 8, 8) and (found - expected).abs().max() < 0.06


def test_gradients_reach_the_pixels():
    pixels = noise(8, 12).requires_grad_()
    shown(pixels, size=4, **HALF).sum().backward()
    assert pixels.grad.abs().sum() > 0


def test_a_square_has_the_longer_side_of_its_box_and_stays_centred():
    pixels = torch.arange(64.0).view(1, 1, 8, 8).expand(1, 3, 8, 8) / 64
    # 2 wide, 4 high, centred on column 4, row 4: columns and rows 2 to 5.
    found = squares(pixels, torch.tensor([[3.0, 2, 5, 6]]), margin=1.0, size=4)
    assert torch.allclose(found, pixels[:, :, 2:6, 2:6], atol=1e-6)


def test_beyond_the_image_the_edge_is_repeated():
    pixels = torch.arange(4.0).view(1, 1, 2, 2).expand(1, 3, 2, 2) / 4
    found = squares(pixels, torch.tensor([[0.0, 0, 2, 2]]), margin=2.0, size=4)[0, 0]
    corners = [found[0, 0], found[0, -1], found[-1, 0], found[-1, -1]]
    assert corners == pytest.approx([0, 0.25, 0.5, 0.75])


@pytest.mark.parametrize(
    ("processor", "side"),
    [
        ({"do_center_crop": True, "crop_size": {"height": 224}, "size": {"shortest_edge": 256}}, 224),
        ({"size": {"shortest_edge": 256}}, 256),
        ({"do_center_crop": False, "size": {"height": 384, "width": 384}}, 384),
    ],
)
def test_the_input_side_is_that_of_the_crop_if_there_is_one(processor, side):
    assert input_side(SimpleNamespace(**processor)) == side
