"""Exported LoRAs, loaded by plain diffusers, draw the images of the benchmark to one grey level."""

import re

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from helpers.families import PROTOCOL, saved
from PIL import Image

from evenhand.bench.errors import EvenhandError
from evenhand.bench.export import lora_export
from evenhand.bench.export.export import Origin, export_fitted
from evenhand.bench.export.lora import DIFFUSERS_FILE, KOHYA_FILE
from evenhand.bench.export.lora_export import LoraExport
from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.suites.suite import load_suite
from evenhand.methods.base import Intervention
from evenhand.methods.finetuning._low_rank import PROJECTIONS

pytest.importorskip("peft")

PROMPTS, SEEDS = ["a photo of a nurse", "a CEO"], [3, 4]


@pytest.fixture(scope="module", params=["sd1", "sdxl"])
def folder(request, tmp_path_factory):
    return saved(request.param, tmp_path_factory)


@pytest.fixture(scope="module")
def model(folder):
    return load_model(str(folder), device="cpu")


def low_rank(model, *, encoders, rank=2, seed=0):
    """An edit of rank 2 of cross-attention, and of the layers of text encoders that finetuning trains."""
    generator = torch.Generator().manual_seed(seed)
    weights = model.cross_attention()
    if encoders:
        found = model.parameters()
        ends = tuple(f"{name}.weight" for name in PROJECTIONS["text_encoder"])
        weights |= {name: found[name].detach().clone() for name in found if name.endswith(ends)}
    for name, value in weights.items():
        up = torch.randn((value.shape[0], rank), generator=generator)
        down = torch.randn((rank, value.shape[1]), generator=generator)
        weights[name] = value + value.std() * up @ down
    return weights


def origin(model):
    suite = load_suite("mini-quick").model_copy(update={"model": model.name, "protocol": PROTOCOL})
    return Origin("mist", {"step_size": 0.3}, suite, ("nurse",))


def stock_images(model, folder, file):
    kind = StableDiffusionXLPipeline if model.family == "sdxl" else StableDiffusionPipeline
    pipe = kind.from_pretrained(model.name, use_safetensors=True)
    pipe.load_lora_weights(folder, weight_name=file)
    images = pipe(
        PROMPTS,
        num_inference_steps=PROTOCOL.steps,
        guidance_scale=PROTOCOL.guidance,
        height=PROTOCOL.height,
        width=PROTOCOL.width,
        generator=[torch.Generator().manual_seed(seed) for seed in SEEDS],
        output_type="np",
    ).images
    return np.round(images * 255)


@pytest.mark.slow
@pytest.mark.parametrize("encoders", [False, True], ids=["unet", "unet and text encoders"])
def test_both_layouts_draw_the_images_of_the_edit_in_plain_diffusers(model, tmp_path, encoders):
    weights = low_rank(model, encoders=encoders)
    paths = LoraExport()(
        Intervention(weights=weights), origin=origin(model), model=lambda: model, out=tmp_path
    )
    assert {path.name for path in paths} == {DIFFUSERS_FILE, KOHYA_FILE, "README.md"}
    ours = Sampler(model, PROTOCOL)(PROMPTS, SEEDS, intervention=Intervention(weights=weights)).astype(int)
    for file in (DIFFUSERS_FILE, KOHYA_FILE):
        assert np.abs(stock_images(model, tmp_path, file) - ours).max() <= 1, file
    assert np.abs(ours - Sampler(model, PROTOCOL)(PROMPTS, SEEDS)).max() > 1


@pytest.mark.slow
@pytest.mark.parametrize("method", ["mist:judge=clip-xs,images=2,rounds=1", "time:images=2"])
def test_edits_of_methods_are_exported_after_a_fit(tmp_path, method):
    out = tmp_path / "lora"
    paths = export_fitted(method, suite="mini-quick", out=out, write=LoraExport())
    assert {path.name for path in paths} >= {"README.md", "cost.json"}
    assert list(out.rglob(DIFFUSERS_FILE)) and list(out.rglob(KOHYA_FILE))
    assert not list(out.rglob("intervention*")), "the full weights are not part of it"


def test_the_model_card_states_rank_error_use_and_limits(model, tmp_path, monkeypatch):
    weights = low_rank(model, encoders=False)
    export = LoraExport(measured=["MIST is more even than the baseline.", "method  distance"])
    export(Intervention(weights=weights), origin=origin(model), model=lambda: model, out=tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert card.startswith(f"---\nbase_model: {model.name}\n")
    assert "Rank 2, with a relative error of at most" in card and "MIST is more even" in card
    assert model.revision in card and "Limits" in card
    image = run_card(tmp_path, monkeypatch)
    ours = Sampler(model, PROTOCOL)(PROMPTS[:1], [0], intervention=Intervention(weights=weights))[0]
    assert np.abs(ours.astype(int) - image).max() <= 1


def run_card(out, monkeypatch):
    """The image that the code of the model card generates in the exported folder."""
    monkeypatch.chdir(out)
    (code,) = re.findall(r"```python\n(.*?)```", (out / "README.md").read_text(), re.DOTALL)
    exec(code, {})
    return np.asarray(Image.open("image.png")).astype(int)


def test_edits_of_concepts_have_a_folder_each_and_the_card_loads_that_of_its_prompt(
    model, tmp_path, monkeypatch
):
    edits = {name: low_rank(model, encoders=False, seed=n) for n, name in enumerate(["CEO", "nurse"])}
    found = Intervention(concept_weights=edits)
    LoraExport()(found, origin=origin(model), model=lambda: model, out=tmp_path)
    assert {path.parent.name for path in tmp_path.rglob(DIFFUSERS_FILE)} == {"nurse", "CEO"}
    card = (tmp_path / "README.md").read_text()
    assert "Each concept has a separate LoRA; the code loads that of nurse" in card
    image = run_card(tmp_path, monkeypatch)
    ours = Sampler(model, PROTOCOL)(PROMPTS[:1], [0], intervention=Intervention(weights=edits["nurse"]))[0]
    assert np.abs(ours.astype(int) - image).max() <= 1


def test_the_card_of_a_lora_for_the_bundled_model_loads_it_and_names_no_repository(tmp_path, monkeypatch):
    model = load_model("mini", device="cpu")
    weights = low_rank(model, encoders=False)
    suite = load_suite("mini-quick")
    suite = suite.model_copy(update={"protocol": suite.protocol.model_copy(update={"steps": 2})})
    LoraExport()(
        Intervention(weights=weights),
        origin=Origin("mist", {}, suite, ("nurse",)),
        model=lambda: model,
        out=tmp_path,
    )
    assert "base_model" not in (tmp_path / "README.md").read_text()
    image = run_card(tmp_path, monkeypatch)
    ours = Sampler(model, suite.protocol)(PROMPTS[:1], [0], intervention=Intervention(weights=weights))[0]
    assert np.abs(ours.astype(int) - image).max() <= 1


@pytest.mark.parametrize(
    ("model", "line"),
    [
        ("org/name", "pipeline = DiffusionPipeline.from_pretrained('org/name')"),
        ("org/name@v1", "pipeline = DiffusionPipeline.from_pretrained('org/name', revision='v1')"),
        ("../mine", "pipeline = DiffusionPipeline.from_pretrained('../mine')"),
        ("../mine.safetensors", "pipeline = load_model('../mine.safetensors').pipeline"),
    ],
)
def test_the_card_loads_every_kind_of_base_model(model, line):
    assert lora_export._loading(model)[-1] == line


def test_an_error_that_changes_images_is_lowered(model, tmp_path):
    weights = low_rank(model, encoders=False, rank=12)
    found = LoraExport(error=0.6)
    found(Intervention(weights=weights), origin=origin(model), model=lambda: model, out=tmp_path)
    difference = int(re.search(r"differ by at most (\d+) of 255", (tmp_path / "README.md").read_text())[1])
    assert difference <= 1


def test_a_method_that_acts_during_sampling_has_no_lora(model, tmp_path):
    with pytest.raises(EvenhandError, match="has no LoRA; export with --format diffusers"):
        LoraExport()(Intervention(), origin=origin(model), model=lambda: model, out=tmp_path)
