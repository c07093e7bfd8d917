"""Single-file checkpoints of a tiny pipeline, in the layout of the first release."""

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, PNDMScheduler
from helpers.families import NOISE, PROTOCOL, pipeline, saved
from helpers.hub_cache import put_in_cache, use_cache
from helpers.ldm import save_checkpoint
from safetensors.torch import load_file, save_file

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.models.single_file import RELEASED


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return saved("sd1", tmp_path_factory)


@pytest.fixture
def file(tmp_path, monkeypatch):
    use_cache(monkeypatch, tmp_path / "cache")
    save_checkpoint(pipeline("sd1"), tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


def images_of(name):
    return Sampler(load_model(str(name), device="cpu"), PROTOCOL)(["a nurse", "a CEO"], [3, 4])


@pytest.mark.slow
def test_images_equal_those_of_the_diffusers_folder(file, folder):
    shutil.copytree(folder, file.with_suffix(""))
    assert np.array_equal(images_of(file), images_of(folder))


def test_the_configuration_can_come_from_the_cache_of_the_hub(file, folder, tmp_path):
    put_in_cache(tmp_path / "cache", RELEASED["StableDiffusionPipeline"], folder)
    assert load_model(str(file), device="cpu").family == "sd1"


def test_without_a_configuration_the_error_names_its_repository(file):
    with pytest.raises(EvenhandError, match=r"stable-diffusion-v1-5/stable-diffusion-v1-5.*--online"):
        load_model(str(file))


@pytest.mark.slow
def test_the_revision_changes_with_the_weights_but_not_with_the_name(file, folder):
    shutil.copytree(folder, file.with_suffix(""))
    copy = shutil.copy(file, file.with_name("copy.safetensors"))
    shutil.copytree(folder, file.with_name("copy"))
    first = load_model(str(file)).revision
    assert load_model(str(copy)).revision == first
    weights = load_file(copy)
    weights["model.diffusion_model.out.2.bias"] += 1
    save_file(weights, copy)
    assert load_model(str(copy)).revision != first


def test_a_checkpoint_without_a_tensor_is_rejected(file, folder):
    shutil.copytree(folder, file.with_suffix(""))
    weights = load_file(file)
    del weights["model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight"]
    save_file(weights, file)
    with pytest.raises(EvenhandError) as caught:
        load_model(str(file))
    assert "\n" not in str(caught.value) and str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "tensors", "message"),
    [
        ("gone.safetensors", None, "does not exist"),
        ("old.ckpt", {}, "pickled and could run code"),
        ("lora.safetensors", {"lora.up": torch.zeros(1)}, "not a complete checkpoint"),
        ("torn.safetensors", b"no header", "download it again"),
    ],
)
def test_other_files_are_rejected_in_one_line(tmp_path, name, tensors, message):
    if isinstance(tensors, dict):
        save_file(tensors, tmp_path / name)
    elif tensors:
        (tmp_path / name).write_bytes(tensors)
    with pytest.raises(EvenhandError, match=message) as caught:
        load_model(str(tmp_path / name))
    assert "\n" not in str(caught.value) and name in str(caught.value)


def test_stable_diffusion_2_needs_its_configuration_beside_it(tmp_path):
    save_checkpoint(pipeline("sd2"), tmp_path / "two.safetensors")
    with pytest.raises(EvenhandError, match="noise or velocities; put the configuration"):
        load_model(str(tmp_path / "two.safetensors"))
    with pytest.raises(EvenhandError, match="not of one"):
        pipeline("sdxl").save_pretrained(tmp_path / "two")
        load_model(str(tmp_path / "two.safetensors"))


def marked(file, folder, names):
    """The checkpoint with empty tensors of these names, and its configuration beside it."""
    shutil.copytree(folder, file.with_suffix(""))
    save_file(load_file(file) | {name: torch.tensor([]) for name in names}, file)
    return file


@pytest.mark.parametrize("names", [["v_pred"], ["v_pred", "ztsnr"]])
@pytest.mark.parametrize("own", [None, PNDMScheduler(**NOISE, skip_prk_steps=True)], ids=["ddim", "pndm"])
def test_a_checkpoint_that_states_velocities_is_sampled_as_such(file, folder, tmp_path, names, own):
    stated = saved_with(folder, tmp_path / "stated", own)
    settings = {"prediction_type": "v_prediction"}
    if "ztsnr" in names:
        settings |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    scheduler = DDIMScheduler.from_config(load_model(str(stated), device="cpu").scheduler.config, **settings)
    expected = images_of(saved_with(folder, tmp_path / "expected", scheduler))
    drawn = images_of(marked(file, stated, names))
    assert np.array_equal(drawn, expected)
    assert not np.array_equal(drawn, images_of(stated))


def saved_with(folder, copy, scheduler):
    """A copy of a diffusers folder with another scheduler, or the same one if ``None``."""
    shutil.copytree(folder, copy)
    if scheduler is not None:
        shutil.rmtree(copy / "scheduler")
        scheduler.save_pretrained(copy / "scheduler")
        index = json.loads((copy / "model_index.json").read_text())
        index["scheduler"] = ["diffusers", type(scheduler).__name__]
        (copy / "model_index.json").write_text(json.dumps(index))
    return copy


@pytest.mark.parametrize("names", [["edm_mean", "edm_std"], ["edm_vpred.sigma_max", "v_pred"]])
def test_a_checkpoint_trained_as_edm_is_rejected_in_one_line(file, folder, names):
    with pytest.raises(EvenhandError, match=rf"EDM \(it has the tensor {names[0]}\)") as caught:
        load_model(str(marked(file, folder, names)))
    assert "\n" not in str(caught.value) and str(file) in str(caught.value)
