"""Nothing is downloaded without ``--online``; sockets are also blocked in all tests."""

import os

import pytest
from helpers.paths import TINY
from huggingface_hub import constants

from evenhand.bench.errors import EvenhandError
from evenhand.bench.fetching import hub
from evenhand.bench.stages.measure import Evaluation
from evenhand.metrics.judges import _open_clip_checkpoints as checkpoints


@pytest.fixture(autouse=True)
def switch(monkeypatch):
    """The offline setting as in a shell without environment variables."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


@pytest.fixture
def seen(monkeypatch):
    """Whether the hub is accessible when judges are loaded, by the library's setting and the environment."""
    found = []

    def load(self):
        found.append((constants.HF_HUB_OFFLINE, os.environ["HF_HUB_OFFLINE"]))
        raise EvenhandError("far enough")

    monkeypatch.setattr(Evaluation, "load", load)
    return found


@pytest.mark.parametrize(
    ("options", "expected"),
    [([], (True, "1")), (["--offline"], (True, "1")), (["--online"], (False, "0"))],
    ids=["by default", "offline", "online"],
)
def test_a_run_accesses_the_hub_only_with_online(evenhand, tmp_path, seen, options, expected):
    outcome = evenhand("run", "mini-quick", "--out", tmp_path / "run", *options)
    assert (outcome.code, seen) == (2, [expected])
    assert constants.HF_HUB_OFFLINE is False and "HF_HUB_OFFLINE" not in os.environ, "the setting is restored"


def test_offline_a_hub_model_is_not_requested(evenhand, tmp_path):
    out, suite = tmp_path / "run", tmp_path / "suite.toml"
    suite.write_text(TINY.read_text().replace('model = "mini"', 'model = "org/never-cached-model"'))
    outcome = evenhand("run", suite, "--method", "base", "--out", out)
    assert outcome.code == 2 and outcome.err.count("\n") == 1
    assert "org/never-cached-model" in outcome.err and "--online" in outcome.err
    assert not (out / "suite.toml").exists()


def test_offline_open_clip_does_not_download_weights_from_other_hosts(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(checkpoints.open_clip, "download_pretrained", lambda _: pytest.fail("was fetched"))
    known = {"url": "https://example.org/RN50.pt"}
    with hub.offline():
        with pytest.raises(OSError, match="offline"):
            checkpoints._fetched(known)
        (tmp_path / ".cache" / "clip").mkdir(parents=True)
        (tmp_path / ".cache" / "clip" / "RN50.pt").write_bytes(b"weights")
        assert checkpoints._fetched(known).read_bytes() == b"weights"
