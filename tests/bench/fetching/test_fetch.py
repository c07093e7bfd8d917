"""Fetching from a hub of local folders: only what is loaded, and everything that fails at once."""

import pytest
from helpers.fairface import fairface_weights
from helpers.fake_hub import FakeHub
from helpers.families import pipeline

from evenhand.bench.errors import EvenhandError
from evenhand.bench.fetching.assets import assets_of
from evenhand.bench.fetching.fetch import fetch, look
from evenhand.bench.fetching.hub import offline
from evenhand.bench.models.loading import find_model, load_model
from evenhand.metrics.judges.deepface import REPOSITORY, WEIGHTS


@pytest.fixture
def hub(monkeypatch, tmp_path):
    hub = FakeHub(monkeypatch, tmp_path / "cache")
    folder = tmp_path / "repository"
    pipeline("sd1").save_pretrained(folder, variant="fp16")
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"pickled")
    (folder / "v1-4.ckpt").write_bytes(b"all of it once more")
    hub.folders["org/model"] = folder
    return hub


def test_only_the_files_that_are_loaded_are_downloaded(hub, tmp_path):
    (found,) = fetch(assets_of("org/model"))
    names = {name.removeprefix("org/model/") for name in hub.fetched}
    assert found.state == "fetched"
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in names and "model_index.json" in names
    assert not [name for name in names if name.endswith((".bin", ".ckpt"))]
    with offline():
        assert load_model("org/model", device="cpu").family == "sd1"
        assert find_model("org/model").digest() == find_model(str(hub.folders["org/model"])).digest()
    (again,) = fetch(assets_of("org/model"))
    assert again.state == "present"


def test_a_look_says_size_checksum_and_licence_and_downloads_no_weights(hub):
    (found,) = look(assets_of("org/model"))
    assert found.state == "missing" and not [name for name in hub.fetched if "safetensors" in name]
    (facts,) = found.facts
    files = {file.name: file for file in facts.files}
    weights = files["unet/diffusion_pytorch_model.fp16.safetensors"]
    assert (
        weights.bytes == (hub.folders["org/model"] / weights.name).stat().st_size
        and len(weights.sha256) == 64
    )
    assert facts.bytes == sum(file.bytes for file in facts.files)
    assert "v1-4.ckpt" not in files and facts.licence == "creativeml-openrail-m"


def test_a_gated_repository_is_announced_and_its_licence_and_login_are_named(hub):
    hub.gated.add("org/model")
    (found,) = look(assets_of("org/model"))
    assert "gated: accept its terms at" in found.facts[0].licence
    (found,) = fetch(assets_of("org/model"))
    assert found.state == "missing"
    assert (
        "(licence creativeml-openrail-m): accept its terms at" in found.detail
        and "hf auth login" in found.detail
    )


def test_the_weights_of_deepface_come_from_the_hub_to_their_place(hub, tmp_path):
    folder = hub.folders[REPOSITORY] = tmp_path / "deepface"
    folder.mkdir()
    for name in WEIGHTS:
        (folder / name).write_bytes(name.encode())
    (found,) = fetch(assets_of(f"deepface:home={tmp_path / 'home'}"))
    assert found.state == "fetched", found.detail
    for name in WEIGHTS:
        assert (tmp_path / "home" / ".deepface" / "weights" / name).read_bytes() == name.encode()


def test_files_downloaded_by_hand_are_put_into_place(hub, tmp_path):
    for name in WEIGHTS:
        (tmp_path / name).write_bytes(name.encode())
    name = f"deepface:home={tmp_path / 'home'}"
    (found,) = fetch(assets_of(name), weights=tmp_path)
    assert found.state == "fetched" and hub.fetched == []
    empty = tmp_path / "empty"
    empty.mkdir()
    (found,) = fetch(assets_of(f"deepface:home={tmp_path / 'other'}"), weights=empty)
    assert found.state == "missing" and found.detail.startswith(f"{empty} has no {', '.join(WEIGHTS)}; ")
    with pytest.raises(EvenhandError, match="--weights must be a folder"):
        list(fetch(assets_of(name), weights=tmp_path / "nowhere"))


def test_what_the_hub_does_not_give_can_be_placed_by_hand(hub, tmp_path):
    (found,) = fetch(assets_of(f"deepface:home={tmp_path / 'home'}"))
    assert found.state == "missing" and found.detail.startswith("weights of 'serengil/deepface' are not in")
    for source in found.asset.sources:
        assert f"from {source.address} to {source.place}" in found.detail


@pytest.mark.slow
def test_what_only_people_can_place_is_said_with_where_from_and_where_to(hub, tmp_path):
    place = tmp_path / "here" / "res34.safetensors"
    (found,) = fetch(assets_of(f"fairface:weights={place}"))
    assert found.state == "missing"
    assert "download FairFace ResNet-34, 7 races from https://" in found.detail and str(place) in found.detail
    (tmp_path / "downloads").mkdir()
    fairface_weights(tmp_path / "downloads" / "res34.safetensors")
    (found,) = fetch(assets_of(f"fairface:weights={place}"), weights=tmp_path / "downloads")
    assert (found.state, found.detail) == ("fetched", "") and place.is_file()


def test_a_failure_does_not_stop_the_others(hub, tmp_path):
    assets = [
        *assets_of("org/gone"),
        *assets_of(f"fairface:weights={tmp_path / 'no.pt'}"),
        *assets_of("org/model"),
    ]
    assert [found.state for found in fetch(assets)] == ["missing", "missing", "fetched"]
