"""The checks of a suite: every judge at work, disk and memory."""

import shutil
from types import SimpleNamespace

import pytest
import torch
from helpers.paths import TINY
from helpers.whole import whole_pipeline

from evenhand.bench.fetching import trial
from evenhand.bench.fetching.trial import examine_suite
from evenhand.bench.models.loading import find_model
from evenhand.bench.suites.suite import load_suite
from evenhand.metrics.judges.image_classification import ImageClassificationJudge

SUITE = load_suite(str(TINY))


def checks(suite=SUITE):
    return {check.name: check for check in examine_suite(suite, ["base"])}


def test_a_suite_that_is_complete_passes():
    found = checks()
    assert all(check.ok for check in found.values())
    assert list(found) == [
        "model mini",
        "judge clip-s",
        "judge vit",
        "scorer mini",
        "disk for images",
        "memory",
    ]
    assert found["judge vit"].detail == "labels an image"
    assert found["disk for images"].detail.startswith("8 images take at most 24.6 kB, ")


def test_everything_that_is_missing_is_listed_at_once():
    found = checks(
        SUITE.model_copy(update={"model": "org/model", "panel": ("vit", "fairface"), "scorer": "org/clip"})
    )
    assert [name for name, check in found.items() if not check.ok] == [
        "model org/model",
        "judge fairface",
        "scorer org/clip",
    ]
    assert "download FairFace" in found["judge fairface"].detail
    assert found["memory"].detail == "not checked, the model is missing"


def test_a_judge_that_fails_at_work_does_not_stop_the_others(monkeypatch):
    def fail(self, images):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(ImageClassificationJudge, "label", fail)
    found = checks()
    assert not found["judge vit"].ok and "ZeroDivisionError: by zero" in found["judge vit"].detail
    assert found["scorer mini"].ok


@pytest.mark.parametrize(("free", "ok"), [(24_576, True), (24_575, False)])
def test_disk_is_compared_with_all_images(monkeypatch, free, ok):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    assert checks()["disk for images"].ok is ok


@pytest.mark.slow
def test_memory_is_compared_with_the_weights_in_the_precision_of_the_protocol(monkeypatch):
    full = resident(SUITE)
    half = changed(precision="bfloat16")
    assert resident(half) * 2 == full > 10**7
    monkeypatch.setattr(trial, "_available", lambda: (full, "the device"))
    memory = checks()["memory"]
    assert not memory.ok and 'set precision = "bfloat16", or use a device' in memory.detail
    assert checks(half)["memory"].ok


def resident(suite):
    return trial._resident(find_model(suite.model), suite.protocol)


def changed(suite=SUITE, **protocol):
    return suite.model_copy(update={"protocol": suite.protocol.model_copy(update=protocol)})


def test_memory_of_a_large_model_is_that_of_what_is_on_the_device_at_once(tmp_path, monkeypatch):
    pipe = whole_pipeline("flux")
    pipe.save_pretrained(tmp_path, safe_serialization=True)
    suite = changed(SUITE.model_copy(update={"model": str(tmp_path)}), solver="own")
    networks = {n: part for n, part in pipe.components.items() if isinstance(part, torch.nn.Module)}
    sizes = {n: sum(weight.numel() for weight in part.parameters()) for n, part in networks.items()}
    whole = sum(sizes.values())
    assert resident(suite) == 4 * whole
    assert resident(changed(suite, quantization="int8")) == whole + 3 * sizes["vae"]
    assert resident(changed(suite, offload="model")) == 4 * max(sizes.values())
    largest = max(weight.numel() for part in networks.values() for weight in part.parameters())
    assert resident(changed(suite, offload="layers")) == 4 * largest
    monkeypatch.setattr(trial, "_available", lambda: (1, "the device"))
    shown = trial._memory(changed(suite, quantization="int8", offload="model")).detail
    assert "in int8, one network at a time, with one image per pass" in shown
    assert 'set precision = "bfloat16", quantization = "int8" or offload = "model", or use' in shown


def test_a_truncated_model_is_damaged_and_does_not_stop_the_other_checks(tmp_path):
    folder = shutil.copytree(find_model(SUITE.model).root, tmp_path / "model")
    weights = next((folder / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1000])
    found = checks(SUITE.model_copy(update={"model": str(folder)}))
    model = found[f"model {folder}"]
    assert not model.ok and f"{weights}: file is truncated or damaged" in model.detail
    assert found["memory"].detail == "not checked, the model is damaged"
