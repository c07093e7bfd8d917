"""Facts about sources without a hub."""

import hashlib

import pytest
from helpers.fake_hub import FakeHub

from evenhand.bench.fetching.facts import FileFact, source_facts
from evenhand.bench.fetching.hub import offline
from evenhand.metrics.vision.weight_source import WeightSource


def test_offline_only_what_is_recorded_is_known(tmp_path):
    with offline():
        found = source_facts(WeightSource("a", repository="org/name", files=("a.onnx",), licence="MIT"))
    assert (found.files, found.licence, found.bytes) == ((FileFact("a.onnx", 0, ""),), "MIT", 0)


def test_a_file_on_this_machine_has_its_size(tmp_path):
    (tmp_path / "a.pt").write_bytes(b"12345")
    found = source_facts(WeightSource("a", place=tmp_path / "a.pt"))
    assert found.bytes == 5 and found.licence == "not recorded"


@pytest.mark.parametrize(("files", "expected"), [((), ["a.json", "a.safetensors"]), (("*.bin",), ["b.bin"])])
def test_of_a_repository_without_a_pipeline_the_patterns_count(monkeypatch, tmp_path, files, expected):
    hub = FakeHub(monkeypatch, tmp_path / "cache")
    hub.folders["org/judge"] = tmp_path / "judge"
    (tmp_path / "judge").mkdir()
    for name in ("a.json", "a.safetensors", "b.bin", "code.py"):
        (tmp_path / "judge" / name).write_bytes(name.encode())
    found = source_facts(WeightSource("judge", repository="org/judge", files=files))
    assert [file.name for file in found.files] == expected
    if not files:
        assert found.files[1].sha256 == hashlib.sha256(b"a.safetensors").hexdigest()
