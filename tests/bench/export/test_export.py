"""An exported method generates the images of the benchmark, with diffusers alone if it edits weights."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from helpers.families import PROTOCOL, pipeline, saved
from PIL import Image

from evenhand.bench.errors import EvenhandError
from evenhand.bench.export import export
from evenhand.bench.export.export import Origin, acts_by_weights, export_fitted, write_export
from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.suites.suite import load_suite
from evenhand.bench.suites.toml_text import to_toml
from evenhand.methods.base import Intervention
from evenhand.methods.prompts.entigen import Entigen
from evenhand.methods.saving import load

PROMPT = "a photo of a nurse"


@pytest.fixture(scope="module", params=["sd1", "sd2", "sdxl"])
def folder(request, tmp_path_factory):
    return saved(request.param, tmp_path_factory)


@pytest.fixture(scope="module")
def model(folder):
    return load_model(str(folder), device="cpu")


def suite_on(model):
    suite = load_suite("mini-quick").model_copy(update={"model": model.name, "protocol": PROTOCOL})
    return suite.model_copy(update={"methods": {}})


def edit(model, scale=0.5):
    """A weight edit of the U-Net and of every text encoder."""
    encoders = ("text_encoder", "text_encoder_2")[: len(model.text_encoders)]
    name = "text_model.encoder.layers.0.mlp.fc1.weight"
    weights = model.cross_attention()
    for part, (_, encoder) in zip(encoders, model.text_encoders, strict=True):
        # transformers 5 names the parameters of a text model without the prefix that earlier versions have.
        parameters = dict(encoder.named_parameters())
        found = name if name in parameters else name.removeprefix("text_model.")
        weights[f"{part}.{found}"] = parameters[found].detach()
    generator = torch.Generator().manual_seed(0)
    return {n: w + scale * w.std() * torch.randn(w.shape, generator=generator) for n, w in weights.items()}


def origin(model, method="mist", concepts=("nurse",)):
    return Origin(method, {}, suite_on(model), concepts)


def run_readme(out, monkeypatch):
    """The image that the README code generates in the exported folder."""
    monkeypatch.chdir(out)
    (code,) = re.findall(r"```python\n(.*?)```", (out / "README.md").read_text(), re.DOTALL)
    exec(code, {})
    return np.asarray(Image.open(out / "image.png"))


@pytest.mark.slow
def test_a_weight_edit_exports_a_complete_pipeline_with_identical_images(model, tmp_path):
    intervention = Intervention(weights=edit(model))
    out = tmp_path / "exported"
    paths = write_export(intervention, origin=origin(model), model=lambda: model, out=out)
    assert {"model_index.json", "unet", "vae", "README.md", "intervention.json"} <= {p.name for p in paths}
    kind = StableDiffusionXLPipeline if model.family == "sdxl" else StableDiffusionPipeline
    stock = kind.from_pretrained(out, use_safetensors=True)
    prompts, seeds = [PROMPT, "a CEO"], [3, 4]
    images = stock(
        prompts,
        num_inference_steps=PROTOCOL.steps,
        guidance_scale=PROTOCOL.guidance,
        height=PROTOCOL.height,
        width=PROTOCOL.width,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        output_type="np",
    ).images
    sampler = Sampler(model, PROTOCOL)
    ours = sampler(prompts, seeds, intervention=intervention)
    assert np.abs(ours.astype(int) - np.round(images * 255)).max() <= 1
    assert np.abs(ours.astype(int) - sampler(prompts, seeds)).max() > 1


@pytest.mark.slow
def test_the_readme_code_draws_with_the_solver_of_the_protocol_whatever_the_model_states(
    tmp_path, monkeypatch
):
    pipe = pipeline("sd1")
    stated = {"algorithm_type": "sde-dpmsolver++"}
    pipe.register_modules(scheduler=DPMSolverMultistepScheduler.from_config(pipe.scheduler.config, **stated))
    pipe.save_pretrained(tmp_path / "model")
    model = load_model(str(tmp_path / "model"), device="cpu")
    protocol = PROTOCOL.model_copy(update={"solver": "dpmsolver++"})
    suite = suite_on(model).model_copy(update={"protocol": protocol})
    intervention = Intervention(weights=edit(model))
    write_export(
        intervention,
        origin=Origin("mist", {}, suite, ("nurse",)),
        model=lambda: model,
        out=tmp_path / "exported",
    )
    image = run_readme(tmp_path / "exported", monkeypatch)
    ours = Sampler(model, protocol)([PROMPT], [0], intervention=intervention)[0]
    assert np.abs(ours.astype(int) - image).max() <= 1


def test_the_readme_code_generates_an_image_with_the_edit(model, tmp_path, monkeypatch):
    intervention = Intervention(weights=edit(model))
    write_export(intervention, origin=origin(model), model=lambda: model, out=tmp_path / "exported")
    image = run_readme(tmp_path / "exported", monkeypatch)
    ours = Sampler(model, PROTOCOL)([PROMPT], [0], intervention=intervention)[0]
    assert np.abs(ours.astype(int) - image).max() <= 1


@pytest.mark.slow
def test_the_readme_code_applies_a_method_without_weights(model, tmp_path, monkeypatch):
    out = tmp_path / "exported"
    export_fitted("entigen", suite=str(suite_file(model, tmp_path)), out=out)
    image = run_readme(out, monkeypatch)
    intervention = load(out, Entigen)
    sampler = Sampler(model, PROTOCOL)
    (prompt,) = re.findall(r"sampler\(\['(.+?)'\]", (out / "README.md").read_text())
    assert (sampler([prompt], [0], intervention=intervention)[0] == image).all()
    assert (sampler([prompt], [0])[0] != image).any()
    assert not (out / "unet").exists()


def suite_file(model, folder):
    path = folder / "suite.toml"
    path.write_text(to_toml(suite_on(model).model_dump(mode="json")))
    return path


@pytest.mark.slow
def test_a_method_can_be_fitted_to_another_model_and_its_cost_is_written(model, tmp_path):
    out = tmp_path / "exported"
    text = "mist:judge=clip-xs,images=2,rounds=1,scope=joint"
    export_fitted(text, suite="mini-quick", model=model.name, out=out)
    cost = json.loads((out / "cost.json").read_text())
    concepts = len(json.loads((out / "intervention.json").read_text())["record"]["sources"])
    assert (cost["images"], cost["judgements"]) == (2 * concepts, 2 * concepts)
    assert load_model(str(out), device="cpu").family == model.family


@pytest.mark.slow
def test_per_concept_edits_export_a_separate_model_per_concept(model, tmp_path):
    edits = {"nurse": edit(model), "construction worker": edit(model, scale=0.2)}
    out = tmp_path / "exported"
    write_export(Intervention(concept_weights=edits), origin=origin(model), model=lambda: model, out=out)
    folders = [path for path in out.iterdir() if path.is_dir()]
    assert len(folders) == 2
    loaded = {path.name: load_model(str(path), device="cpu").cross_attention() for path in folders}
    for concept, weights in edits.items():
        (name,) = [name for name in loaded if name.startswith(concept.split()[0])]
        assert all(torch.equal(value, weights[key]) for key, value in loaded[name].items())


@pytest.mark.parametrize("concepts", [("CEO", "construction worker", "nurse"), ("CEO",)])
def test_the_readme_code_loads_the_model_of_a_concept_that_has_one(model, tmp_path, monkeypatch, concepts):
    edits = {"construction worker": edit(model, scale=0.2), "nurse": edit(model)}
    out = tmp_path / "exported"
    write_export(
        Intervention(concept_weights=edits),
        origin=origin(model, concepts=concepts),
        model=lambda: model,
        out=out,
    )
    image = run_readme(out, monkeypatch)
    shown = Intervention(weights=edits["construction worker"])
    ours = Sampler(model, PROTOCOL)(["a photo of a construction worker"], [0], intervention=shown)[0]
    assert np.abs(ours.astype(int) - image).max() <= 1
    assert "the code loads that of construction worker" in (out / "README.md").read_text()


@pytest.mark.slow
def test_the_readme_code_finds_a_model_that_was_named_by_a_relative_path(model, tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine").symlink_to(model.name)
    monkeypatch.chdir(tmp_path)
    out = Path("exported", "entigen")
    export_fitted("entigen", suite=str(suite_file(model, tmp_path)), model="models/mine", out=out)
    assert run_readme(tmp_path / out, monkeypatch).shape == (PROTOCOL.height, PROTOCOL.width, 3)


def test_exporting_does_not_change_the_model(model, tmp_path):
    before = {name: value.clone() for name, value in model.unet.state_dict().items()}
    write_export(
        Intervention(weights=edit(model)), origin=origin(model), model=lambda: model, out=tmp_path / "e"
    )
    assert all(torch.equal(value, before[name]) for name, value in model.unet.state_dict().items())


def test_an_intervention_that_acts_during_sampling_is_not_a_weight_edit():
    class Both(Intervention):
        def embedding(self, text, draws):
            return text

    weights = {"unet.a": torch.ones(1)}
    assert acts_by_weights(Intervention(weights=weights))
    assert not acts_by_weights(Both(weights=weights))
    assert not acts_by_weights(Intervention())


def test_a_nonempty_folder_is_rejected_and_not_changed(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(EvenhandError, match="is not empty; choose an empty or new --out"):
        export_fitted("mist", suite="mini-quick", out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_parameters_tuned_for_the_model_of_the_suite_are_not_used_for_another(model, tmp_path, monkeypatch):
    seen = []

    def use(suite, text):
        seen.append((suite.model, suite.tuned))
        raise EvenhandError("enough")

    monkeypatch.setattr(export, "method_use", use)
    for other in (None, model.name):
        with pytest.raises(EvenhandError, match="enough"):
            export_fitted("mist", suite="mini-2", model=other, out=tmp_path / "out")
    assert seen[0][1] and seen[1] == (model.name, {})
