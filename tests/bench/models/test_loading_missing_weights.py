"""Libraries initialize missing weights randomly; such networks are rejected."""

import shutil

import numpy as np
import pytest
import torch
from helpers.families import pipeline
from helpers.vit import classifier
from helpers.vlm import save_vlm
from safetensors.torch import load_file, save_file

from evenhand.bench.errors import EvenhandError
from evenhand.bench.mini import ROOT as MINI
from evenhand.bench.models.loading import load_model
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.bench.stages.resources import load_scorer

IMAGES = np.zeros((1, 64, 64, 3), np.uint8)


def change(path, rename):
    """Rename the tensors of a file; tensors with an empty name are omitted."""
    renamed = {rename(name): value for name, value in load_file(path).items()}
    save_file({name: value for name, value in renamed.items() if name}, path, metadata={"format": "pt"})


def without(part):
    return lambda name: "" if part in name else name


@pytest.fixture
def folder(tmp_path):
    pipeline("sd1").save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("unet/diffusion_pytorch_model.safetensors", "attn2.to_k"),
        ("vae/diffusion_pytorch_model.safetensors", "decoder.conv_out.weight"),
        ("text_encoder/model.safetensors", "token_embedding"),
    ],
)
def test_a_pipeline_with_a_missing_tensor_is_rejected(folder, file, part):
    change(folder / file, without(part))
    with pytest.raises(EvenhandError, match="would initialise them at random") as caught:
        load_model(str(folder))
    assert "\n" not in str(caught.value)
    assert part.removesuffix(".weight") in str(caught.value)


def test_a_text_encoder_with_unknown_tensor_names_is_rejected(folder):
    change(folder / "text_encoder" / "model.safetensors", lambda name: f"another.{name}")
    with pytest.raises(EvenhandError, match="would initialise them at random"):
        load_model(str(folder))


@pytest.mark.parametrize("stored", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
def test_stored_and_requested_precision_may_differ(tmp_path, stored, precision):
    pipeline("sd2").to(stored).save_pretrained(tmp_path / "model")
    assert load_model(str(tmp_path / "model"), precision=precision).family == "sd2"


def test_weights_in_several_files_are_found(folder):
    shutil.rmtree(folder / "text_encoder")
    pipeline("sd1").text_encoder.save_pretrained(folder / "text_encoder", max_shard_size="20KB")
    assert len(list((folder / "text_encoder").glob("*.safetensors"))) > 1
    assert load_model(str(folder)).family == "sd1"


def test_a_classifier_without_its_head_is_refused(tmp_path):
    folder = classifier(tmp_path / "judge", ["Female", "Male"])
    judge = f"image-classifier:gender={folder},crop=image"
    assert load_judge(judge).label(IMAGES)
    change(folder / "model.safetensors", without("classifier"))
    with pytest.raises(EvenhandError, match="would initialise them at random"):
        load_judge(judge).label(IMAGES)


def test_a_scorer_without_its_projection_is_refused(tmp_path):
    folder = shutil.copytree(MINI / "clip", tmp_path / "clip")
    change(folder / "model.safetensors", without("text_projection"))
    with pytest.raises(EvenhandError, match="would initialise them at random"):
        load_scorer(str(folder)).embed(IMAGES)


def test_a_vision_language_model_without_its_vision_tower_is_rejected(tmp_path):
    save_vlm(tmp_path / "judge", texts=["a"])
    change(tmp_path / "judge" / "model.safetensors", without("patch_embedding"))
    with pytest.raises(EvenhandError, match="would initialise them at random"):
        load_judge(f"vlm:model={tmp_path / 'judge'},crop=image").label(IMAGES)
