"""Masks of people are compared with the network's own class map."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate
from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessor

from evenhand.bench.errors import EvenhandError
from evenhand.metrics.vision.segmentation import load_segmenter


def segmenter(folder, labels):
    torch.manual_seed(0)
    sizes = {"hidden_sizes": [4, 4, 4, 4], "depths": [1] * 4, "num_attention_heads": [1] * 4}
    config = SegformerConfig(**sizes, decoder_hidden_size=8, id2label=dict(enumerate(labels)))
    SegformerForSemanticSegmentation(config).save_pretrained(folder)
    SegformerImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return str(folder)


def test_masks_are_where_a_person_is_the_most_probable_class(tmp_path):
    name = segmenter(tmp_path, ["wall", "person, individual", "personal computer", "sky"])
    images = np.random.default_rng(0).integers(256, size=(3, 40, 24, 3), dtype=np.uint8)
    got = load_segmenter(name)(images)
    seen = SegformerImageProcessor.from_pretrained(tmp_path)(list(images), return_tensors="pt").pixel_values
    with torch.no_grad():
        logits = SegformerForSemanticSegmentation.from_pretrained(tmp_path).eval()(seen).logits
    classes = interpolate(logits, size=(40, 24), mode="bilinear", align_corners=False).argmax(dim=1)
    assert got.shape == (3, 40, 24) and (got == (classes == 1).numpy()).all()


def test_a_model_that_knows_no_people_is_an_error(tmp_path):
    with pytest.raises(EvenhandError, match="has no class 'person'"):
        load_segmenter(segmenter(tmp_path, ["wall", "sky"]))
