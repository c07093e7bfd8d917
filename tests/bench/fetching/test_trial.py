"""The checks of a suite: every judge at work, disk and memory."""

import shutil
from types import SimpleNamespace

import pytest
from helpers.paths import TINY

from evenhand.bench.fetching import trial
from evenhand.bench.fetching.trial import examine_suite
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
    full = trial._weights(SUITE)
    half = SUITE.model_copy(update={"protocol": SUITE.protocol.model_copy(update={"precision": "bfloat16"})})
    assert trial._weights(half) * 2 == full > 10**7
    monkeypatch.setattr(trial, "_available", lambda: (full, "the device"))
    assert not checks()["memory"].ok and 'precision = "bfloat16"' in checks()["memory"].detail
    assert checks(half)["memory"].ok
