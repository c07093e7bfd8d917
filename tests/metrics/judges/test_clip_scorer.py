import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

from evenhand.bench.errors import EvenhandError
from evenhand.bench.mini import ROOT
from evenhand.bench.mini.judges import scorer
from evenhand.bench.mini.law import occupations
from evenhand.bench.mini.world import render
from evenhand.metrics.judges.clip_scorer import ClipScorer

PEOPLE = render(np.array([[0, index, index % 2, index % 5, 0, index % 3] for index in range(40)]), seed=0)
PROMPTS = [f"a photo of a {name}" for name in occupations()]


def test_embeddings_are_unit_vectors_in_single_precision():
    images, texts = scorer().embed(PEOPLE), scorer().embed_texts(PROMPTS)
    assert images.shape == texts.shape == (40, 128)
    assert images.dtype == texts.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-5)


def test_cosines_match_the_transformers_model():
    folder = ROOT / "clip"
    model = CLIPModel.from_pretrained(folder).float().eval()
    images = [Image.fromarray(image) for image in PEOPLE[:6]]
    pixels = AutoImageProcessor.from_pretrained(folder)(images, return_tensors="pt")
    ids = AutoTokenizer.from_pretrained(folder)(PROMPTS[:6], padding=True, return_tensors="pt").input_ids
    with torch.no_grad():
        logits = model(input_ids=ids, **pixels).logits_per_image / model.logit_scale.exp()
    ours = scorer().embed(PEOPLE[:6]) @ scorer().embed_texts(PROMPTS[:6]).T
    np.testing.assert_allclose(ours, logits.numpy(), atol=1e-4)


def test_the_nearest_prompt_is_the_occupation_shown():
    cosines = scorer().embed(PEOPLE) @ scorer().embed_texts(PROMPTS).T
    assert (cosines.argmax(axis=1) == np.arange(40)).mean() > 0.95


def test_a_long_prompt_is_cut_to_the_context():
    long = "a photo of a nurse " * 20
    assert scorer().embed_texts([long]).shape == (1, 128)


def test_a_missing_scorer_folder_is_named(tmp_path):
    with pytest.raises(EvenhandError, match="does not exist"):
        ClipScorer(folder=tmp_path / "nowhere")
