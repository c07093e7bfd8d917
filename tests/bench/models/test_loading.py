"""Tiny random pipelines in the real formats of SD 1.x, SD 2.x and SDXL, loaded with the real code."""

import json
import shutil

import numpy as np
import pytest
import torch
from helpers.families import SCHEDULERS, WIDTH, pipeline, released_pipeline, saved, text_encoder
from helpers.stock_images import drawn_and_stock
from transformers import CLIPTokenizer

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models import loading
from evenhand.bench.models.loading import MINI, load_model


@pytest.fixture(scope="module", params=["sd1", "sd2", "sdxl"])
def family(request):
    return request.param


@pytest.fixture(scope="module")
def folder(family, tmp_path_factory):
    return saved(family, tmp_path_factory)


def test_the_model_family_and_all_cross_attention_layers_are_detected(family, folder):
    model = load_model(str(folder))
    assert model.family == family
    weights = model.cross_attention()
    # down, mid and up: 1 + 1 + 2 modules of one K and one V each
    assert len(weights) == 8
    assert {value.shape[1] for value in weights.values()} == {WIDTH[family]}


def test_images_equal_those_of_the_stock_pipeline_with_released_flags(family, tmp_path):
    drawn, stock = drawn_and_stock(released_pipeline(family), tmp_path, solver=SCHEDULERS[family][0])
    assert drawn.std() > 5
    assert np.abs(drawn - stock).max() <= 1


@pytest.mark.slow
def test_the_revision_changes_with_the_weights(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert load_model(str(copy)).revision == load_model(str(folder)).revision
    config = copy / "scheduler" / "scheduler_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"beta_end": 0.02}))
    assert load_model(str(copy)).revision != load_model(str(folder)).revision


def test_the_first_eos_is_the_position_after_the_content():
    states = load_model("mini").encode(["", "a nurse", "a construction worker"])
    tokenizer = CLIPTokenizer.from_pretrained(MINI / "tokenizer")
    expected = [len(tokenizer(text).input_ids) - 1 for text in ("", "a nurse", "a construction worker")]
    assert states.first_eos.tolist() == expected
    assert states.states.shape == (3, 24, 192)


def test_a_prompt_with_too_many_tokens_is_rejected():
    with pytest.raises(EvenhandError, match=r"has \d+ tokens, mini accepts 24; shorten it"):
        load_model("mini").encode(["a photo of " + "nurse " * 40])


def broken(folder, name):
    if name == "pickled weights":
        (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
        torch.save({}, folder / "unet" / "diffusion_pytorch_model.bin")
    elif name == "torn weights":
        path = folder / "unet" / "diffusion_pytorch_model.safetensors"
        path.write_bytes(path.read_bytes()[:100])
    elif name == "torn index":
        (folder / "model_index.json").write_text("{")
    elif name == "texts too narrow for the U-Net":
        shutil.rmtree(folder / "text_encoder")
        text_encoder(64).save_pretrained(folder / "text_encoder")
    else:
        shutil.rmtree(folder / "vae")


FAULTS = ["pickled weights", "torn weights", "torn index", "texts too narrow for the U-Net", "missing part"]


@pytest.mark.parametrize("fault", FAULTS)
def test_an_invalid_model_folder_is_a_one_line_error(tmp_path, fault):
    folder = tmp_path / "model"
    pipeline("sd1").save_pretrained(folder)
    broken(folder, fault)
    with pytest.raises(EvenhandError) as caught:
        load_model(str(folder))
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


def test_a_model_that_predicts_velocities_loads(tmp_path):
    pipe = pipeline("sd1")
    pipe.scheduler.register_to_config(prediction_type="v_prediction")
    pipe.save_pretrained(tmp_path / "model")
    model = load_model(str(tmp_path / "model"))
    assert model.evaluations == 0, "testing a model does not count as cost of a method"


@pytest.mark.parametrize("name", ["nothing-like-it", "org/never-cached-model"])
def test_a_model_that_does_not_exist_is_a_one_line_error(monkeypatch, name):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EvenhandError) as caught:
        load_model(name)
    assert "\n" not in str(caught.value) and name in str(caught.value)


def test_a_model_that_does_not_fit_the_device_is_a_one_line_error(monkeypatch):
    def full(model):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has ...")

    monkeypatch.setattr(loading, "_check_parts", full)
    with pytest.raises(EvenhandError, match=r"^not enough memory to load model 'mini' in float32 \("):
        load_model("mini")
