"""``evenhand method export``: what is written, and errors."""

import json
import shutil
from pathlib import Path

import diffusers
import pytest
import torch
from safetensors.torch import load_file

from evenhand.bench.models.loading import load_model
from evenhand.bench.storage.files import folder_name


@pytest.mark.slow
def test_an_exported_weight_edit_loads_in_diffusers_as_the_edited_model(evenhand, finished, tmp_path):
    out = tmp_path / "exported"
    outcome = evenhand("method", "export", "mist", "--run", finished, "--out", out)
    assert outcome.code == 0
    assert sorted(Path(line).name for line in outcome.out.splitlines()) == sorted(
        p.name for p in out.iterdir()
    )
    edited = load_file(out / "intervention.safetensors")
    unet = diffusers.UNet2DConditionModel.from_pretrained(out / "unet").state_dict()
    plain = load_model("mini").unet.state_dict()
    changed = {f"weights/unet.{name}" for name, value in unet.items() if not torch.equal(value, plain[name])}
    assert changed
    assert changed <= set(edited)
    assert all(torch.equal(unet[name.removeprefix("weights/unet.")], edited[name]) for name in edited)


@pytest.mark.slow
def test_a_method_that_edits_no_weights_exports_only_its_data(evenhand, finished, tmp_path):
    out = tmp_path / "exported"
    assert evenhand("method", "export", "random-attribute-prompt", "--run", finished, "--out", out).code == 0
    names = {"README.md", "intervention.json", "intervention.safetensors"}
    assert {path.name for path in out.iterdir()} == names
    assert json.loads((out / "intervention.json").read_text())["data"]["adjectives"] == ["female", "male"]


@pytest.mark.slow
def test_an_export_never_overwrites(evenhand, finished, tmp_path):
    (tmp_path / "kept").write_text("dear")
    outcome = evenhand("method", "export", "mist", "--run", finished, "--out", tmp_path)
    assert outcome.code == 2
    assert "is not empty; choose an empty or new --out" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.slow
def test_an_export_of_a_method_that_was_not_run_suggests_the_nearest(evenhand, finished, tmp_path):
    outcome = evenhand("method", "export", "misst", "--run", finished, "--out", tmp_path / "new")
    assert outcome.code == 2
    assert outcome.err.endswith("'misst'; did you mean 'mist'?\n")
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_exporting_an_ambiguous_name_asks_for_the_label(evenhand, finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    document = json.loads((run / "results" / "mist.json").read_text())
    (run / "results" / "mist.json").unlink()
    for label in ("mist:rounds=2", "mist:rounds=3"):
        document["spec"]["method"]["label"] = label
        (run / "results" / f"{folder_name(label)}.json").write_text(json.dumps(document))
    outcome = evenhand("method", "export", "mist", "--run", run, "--out", tmp_path / "new")
    assert outcome.code == 2
    assert "use one of mist:rounds=2, mist:rounds=3" in outcome.err
