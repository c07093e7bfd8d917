"""Which files of a folder or repository are loaded, and what identifies a model."""

import shutil

import numpy as np
import pytest
import torch
from helpers.families import PROTOCOL, pipeline, saved
from helpers.hub_cache import COMMIT, OTHER_COMMIT, put_in_cache, use_cache

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import find_model, load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.models.sources import pipeline_files


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return saved("sd1", tmp_path_factory)


@pytest.fixture
def cache(monkeypatch, tmp_path):
    return use_cache(monkeypatch, tmp_path / "cache")


def images_of(name):
    return Sampler(load_model(str(name), device="cpu"), PROTOCOL)(["a nurse"], [3])


@pytest.mark.parametrize("parts", [{}, {"max_shard_size": "200KB"}], ids=["whole", "in parts"])
def test_a_folder_with_the_fp16_variant_only_loads(tmp_path, cache, parts):
    pipe = pipeline("sd1").to(torch.float16)
    pipe.save_pretrained(tmp_path / "half", variant="fp16", **parts)
    assert not [path for path in (tmp_path / "half").rglob("*.safetensors") if ".fp16" not in path.name]
    put_in_cache(cache, "org/half", tmp_path / "half")
    pipe.save_pretrained(tmp_path / "same")
    assert np.array_equal(images_of("org/half"), images_of(tmp_path / "same"))


def test_a_variant_of_one_part_only_loads(tmp_path, plain):
    shutil.copytree(plain, tmp_path / "mixed")
    shutil.rmtree(tmp_path / "mixed" / "unet")
    pipeline("sd1").unet.half().save_pretrained(tmp_path / "mixed" / "unet", variant="fp16")
    assert find_model(str(tmp_path / "mixed")).variant == "fp16"
    assert load_model(str(tmp_path / "mixed"), device="cpu").family == "sd1"


def test_a_folder_and_a_repository_of_the_same_weights_are_one_model(tmp_path, plain, cache):
    put_in_cache(cache, "org/model", plain)
    clone = shutil.copytree(plain, tmp_path / "clone")
    pipeline("sd1").to(torch.float16).unet.save_pretrained(clone / "unet", variant="fp16")
    (clone / "safety_checker").mkdir()
    (clone / "safety_checker" / "config.json").write_text("{}")
    (clone / "README.md").write_text("a model")
    (clone / "v1-4.ckpt").write_bytes(b"all of it once more")
    names = [str(plain), str(clone), "org/model", f"org/model@{COMMIT}"]
    assert len({load_model(name, device="cpu").revision for name in names}) == 1


def test_a_revision_pins_the_state_of_a_repository(tmp_path, plain, cache):
    changed = shutil.copytree(plain, tmp_path / "changed")
    pipeline("sd1").to(torch.float16).to(torch.float32).unet.save_pretrained(changed / "unet")
    put_in_cache(cache, "org/model", plain, refs=("v1", "refs/pr/1"))
    put_in_cache(cache, "org/model", changed, commit=OTHER_COMMIT)
    digest = {
        name: find_model(f"org/model{name}").digest() for name in ("", "@v1", f"@{COMMIT}", "@refs/pr/1")
    }
    assert digest["@v1"] == digest[f"@{COMMIT}"] == digest["@refs/pr/1"] != digest[""]
    with pytest.raises(EvenhandError, match=r"model 'org/model@v2' is not in the cache.*--online"):
        load_model("org/model@v2")


def test_an_interrupted_download_is_reported_with_what_it_lacks(plain, cache):
    snapshot = put_in_cache(cache, "org/model", plain)
    shutil.rmtree(snapshot / "unet")
    with pytest.raises(EvenhandError, match=r"only partly in the cache, it lacks unet; .*--online"):
        load_model("org/model")


INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
    "image_encoder": [None, None],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "requires_safety_checker": True,
}
WEIGHTS = "unet/diffusion_pytorch_model"


@pytest.mark.parametrize(
    ("weights", "taken", "variant"),
    [
        (["", ".fp16", ".non_ema"], [""], None),
        ([".non_ema", ".fp16"], [".fp16"], "fp16"),
        ([".non_ema", ".bf16"], [".bf16"], "bf16"),
        (["-00001-of-00002", "-00002-of-00002", ".fp16"], ["-00001-of-00002", "-00002-of-00002"], None),
        (
            [".fp16-00001-of-00002", ".fp16-00002-of-00002"],
            [".fp16-00001-of-00002", ".fp16-00002-of-00002"],
            "fp16",
        ),
        (["-00001-of-00001.fp16"], ["-00001-of-00001.fp16"], "fp16"),
    ],
)
def test_plain_weights_are_preferred_to_variants(weights, taken, variant):
    others = ["unet/config.json", "tokenizer/merges.txt", "tokenizer/tokenizer.json", "model_index.json"]
    ignored = [
        "safety_checker/model.safetensors",
        "unet/diffusion_pytorch_model.bin",
        "unet/code.py",
        "v1-5-pruned.safetensors",
        "README.md",
    ]
    names = [*others, *ignored, *(f"{WEIGHTS}{end}.safetensors" for end in weights)]
    expected = sorted([*others, *(f"{WEIGHTS}{end}.safetensors" for end in taken)])
    assert pipeline_files(names, INDEX) == (expected, variant)


def test_the_list_of_parts_belongs_to_its_variant():
    part = f"{WEIGHTS}.fp16-00001-of-00001.safetensors"
    lists = [f"{WEIGHTS}.safetensors.index.json", f"{WEIGHTS}.safetensors.index.fp16.json"]
    assert pipeline_files([part, *lists], INDEX) == (sorted([part, lists[1]]), "fp16")
