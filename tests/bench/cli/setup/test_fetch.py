"""``evenhand fetch`` on what is part of the package and on what is not there."""

import json

import pytest
from helpers.fairface import fairface_weights
from helpers.fake_hub import FakeHub
from helpers.families import pipeline
from helpers.paths import TINY


@pytest.fixture
def hub(monkeypatch, tmp_path):
    return FakeHub(monkeypatch, tmp_path / "cache")


def test_the_bundled_suites_need_nothing(evenhand, hub):
    outcome = evenhand("fetch", TINY)
    assert outcome.code == 0 and hub.fetched == []
    head, *rows = outcome.out.splitlines()
    assert head.split() == ["needed", "as", "files", "from", "size", "licence", "SHA-256"]
    assert [row.split()[:3] for row in rows] == [
        ["present", "model", "mini"],
        ["present", "judge", "clip-s"],
        ["present", "judge", "vit"],
        ["present", "scorer", "mini"],
    ]


def test_a_model_is_listed_with_its_size_and_then_fetched(evenhand, hub, tmp_path):
    pipeline("sd1").save_pretrained(tmp_path / "model")
    hub.folders["org/model"] = tmp_path / "model"
    listed = evenhand("fetch", "org/model", "--dry-run", "--json")
    (row,) = json.loads(listed.out)
    assert listed.code == 0 and row["state"] == "missing" and row["licence"] == "creativeml-openrail-m"
    assert sum(file["bytes"] for file in row["files"]) == row["bytes"] > 0
    assert evenhand("fetch", "org/model", "--dry-run").out.splitlines()[-1].startswith("to download: ")
    done = evenhand("fetch", "org/model")
    assert done.code == 0 and done.out.splitlines()[1].startswith("fetched  model org/model")


def test_another_model_than_that_of_the_suite_is_fetched(evenhand, hub, tmp_path):
    pipeline("sd1").save_pretrained(tmp_path / "model")
    hub.folders["org/model"] = tmp_path / "model"
    done = evenhand("fetch", TINY, "--model", "org/model")
    assert done.code == 0 and done.out.splitlines()[1].startswith("fetched  model org/model")
    refused = evenhand("fetch", "deepface", "--model", "org/model")
    assert refused.code == 2 and "unknown suite 'deepface'" in refused.err


@pytest.mark.slow
def test_what_is_missing_is_said_after_the_table_and_fails(evenhand, hub, tmp_path):
    place = tmp_path / "here" / "res34.safetensors"
    outcome = evenhand("fetch", f"fairface:weights={place}")
    assert outcome.code == 2
    assert "download FairFace ResNet-34, 7 races from https://" in outcome.out.splitlines()[-1]
    fairface_weights(tmp_path / "res34.safetensors")
    taken = evenhand("fetch", f"fairface:weights={place}", "--weights", tmp_path)
    assert taken.code == 0 and place.is_file()
