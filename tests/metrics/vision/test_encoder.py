"""Vision encoders are compared with transformers' own preprocessing and networks."""

import pytest
import torch
from transformers import (
    AutoImageProcessor,
    BitImageProcessor,
    Dinov2Config,
    Dinov2Model,
    SegformerConfig,
    SegformerImageProcessor,
    SegformerModel,
)

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.vision.encoder import load_encoder

RESIZED = {"do_resize": True, "size": {"shortest_edge": 28}, "crop_size": {"height": 28, "width": 28}}


@pytest.fixture
def dino(tmp_path):
    torch.manual_seed(0)
    config = Dinov2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
    )
    Dinov2Model(config).save_pretrained(tmp_path)
    BitImageProcessor(**RESIZED).save_pretrained(tmp_path)
    return tmp_path


def test_features_are_the_unit_vectors_of_the_class_token(dino):
    images = torch.randint(0, 256, (3, 28, 28, 3), dtype=torch.uint8)
    pixels = (images.permute(0, 3, 1, 2).float() / 127.5 - 1).requires_grad_()
    got = load_encoder(str(dino))(pixels)
    seen = AutoImageProcessor.from_pretrained(dino)(list(images.numpy()), return_tensors="pt").pixel_values
    with torch.no_grad():
        token = Dinov2Model.from_pretrained(dino).eval()(seen).last_hidden_state[:, 0]
    torch.testing.assert_close(got, token / token.norm(dim=1, keepdim=True), atol=1e-4, rtol=1e-4)
    got[:, 0].sum().backward()
    assert pixels.grad.abs().amax(dim=(1, 2, 3)).min() > 0


def test_a_network_without_a_pooled_output_is_an_error(tmp_path):
    sizes = {"hidden_sizes": [4, 4, 4, 4], "depths": [1] * 4, "num_attention_heads": [1] * 4}
    SegformerModel(SegformerConfig(**sizes)).save_pretrained(tmp_path)
    SegformerImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    with pytest.raises(EvenhandError, match="no pooled output; give one that has"):
        load_encoder(str(tmp_path))(torch.zeros(1, 3, 32, 32))


def test_an_incomplete_folder_is_named(dino):
    (dino / "model.safetensors").unlink()
    with pytest.raises(EvenhandError, match=r"lacks model\.safetensors"):
        load_encoder(str(dino))
