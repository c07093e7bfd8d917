"""Nothing is fetched unless the command line says --online; the socket of all tests is blocked besides."""

import os

import pytest
from helpers.paths import TINY
from huggingface_hub import constants

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models import hub
from evenhand.bench.stages.measure import Evaluation
from evenhand.metrics.judges import open_clip


@pytest.fixture(autouse=True)
def switch(monkeypatch):
    """The switch as a shell without settings has it."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


@pytest.fixture
def seen(monkeypatch):
    """What the hub may do when judges are loaded, by the library's switch and the environment's."""
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
def test_a_run_may_reach_the_hub_only_with_online(evenhand, tmp_path, seen, options, expected):
    outcome = evenhand("run", "mini-quick", "--out", tmp_path / "run", *options)
    assert (outcome.code, seen) == (2, [expected])
    assert constants.HF_HUB_OFFLINE is False and "HF_HUB_OFFLINE" not in os.environ, "the shell's own again"


def test_a_model_of_the_hub_is_not_looked_for_offline(evenhand, tmp_path):
    out, suite = tmp_path / "run", tmp_path / "suite.toml"
    suite.write_text(TINY.read_text().replace('model = "mini"', 'model = "org/never-cached-model"'))
    outcome = evenhand("run", suite, "--method", "base", "--out", out)
    assert outcome.code == 2 and outcome.err.count("\n") == 1
    assert "org/never-cached-model" in outcome.err and "--online" in outcome.err
    assert not (out / "suite.toml").exists()


def test_weights_that_open_clip_fetches_past_the_hub_are_not_fetched_offline(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(open_clip.open_clip, "download_pretrained", lambda known: pytest.fail("was fetched"))
    known = {"url": "https://example.org/RN50.pt"}
    with hub.offline():
        with pytest.raises(OSError, match="offline"):
            open_clip._fetched(known)
        (tmp_path / ".cache" / "clip").mkdir(parents=True)
        (tmp_path / ".cache" / "clip" / "RN50.pt").write_bytes(b"weights")
        assert open_clip._fetched(known).read_bytes() == b"weights"
